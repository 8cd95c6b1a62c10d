// Command bundlecheck verifies Sigstore bundles over in-toto statements offline: the signature, and
// whose it is.
//
// It reads {"trusts": [trust], "bundles": [{"bundle": ..., "trust": index}]} as JSON from standard
// input. A trust is {"keys": {hint: PEM}, "workflows": {name: {"san": ..., "issuer": ...}},
// "roots": [trusted root]}. For each bundle it writes {"signer": ..., "statement": ...} or
// {"problem": ..., "unreadable": true or false}, as a list, to standard output: the signer is the
// hint of a key or the name of a workflow. It exits 0 whatever it finds, and 1 when it cannot read
// its input. `-version` tells the version of sigstore-go that it judges with.
package main

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Set when it is built: the version of github.com/sigstore/sigstore-go.
var version = "unknown"

type workflow struct {
	SAN    string `json:"san"`
	Issuer string `json:"issuer"`
}

type trust struct {
	Keys      map[string]string   `json:"keys"`
	Workflows map[string]workflow `json:"workflows"`
	Roots     []json.RawMessage   `json:"roots"`
}

type question struct {
	Trusts  []trust `json:"trusts"`
	Bundles []struct {
		Bundle json.RawMessage `json:"bundle"`
		Trust  int             `json:"trust"`
	} `json:"bundles"`
}

type answer struct {
	Signer     string          `json:"signer,omitempty"`
	Statement  json.RawMessage `json:"statement,omitempty"`
	Problem    string          `json:"problem,omitempty"`
	Unreadable bool            `json:"unreadable,omitempty"`
}

// trusted is a trust made ready: the keys, and a verifier for each root.
type trusted struct {
	keys      *root.TrustedPublicKeyMaterial
	workflows map[string]workflow
	roots     []*verify.Verifier
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-version" {
		fmt.Println(version)
		return
	}
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err)
	}
	ready := make([]*trusted, len(asked.Trusts))
	for number, given := range asked.Trusts {
		made, err := trustedOf(given)
		if err != nil {
			fail(fmt.Errorf("trust %d: %w", number, err))
		}
		ready[number] = made
	}
	told := []answer{}
	for _, item := range asked.Bundles {
		if item.Trust < 0 || item.Trust >= len(ready) {
			fail(fmt.Errorf("there is no trust %d", item.Trust))
		}
		told = append(told, judge(item.Bundle, ready[item.Trust]))
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bundlecheck:", err)
	os.Exit(1)
}

func trustedOf(given trust) (*trusted, error) {
	keys := map[string]*root.ExpiringKey{}
	for hint, text := range given.Keys {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, fmt.Errorf("key %s is no PEM", hint)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", hint, err)
		}
		verifier, err := signature.LoadVerifier(public, crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", hint, err)
		}
		keys[hint] = root.NewExpiringKey(verifier, time.Time{}, time.Time{})
	}
	made := &trusted{
		keys:      root.NewTrustedPublicKeyMaterialFromMapping(keys),
		workflows: given.Workflows,
	}
	for number, raw := range given.Roots {
		parsed, err := root.NewTrustedRootFromJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("root %d: %w", number, err)
		}
		verifier, err := verify.NewVerifier(parsed, demands(parsed)...)
		if err != nil {
			return nil, fmt.Errorf("root %d: %w", number, err)
		}
		made.roots = append(made.roots, verifier)
	}
	return made, nil
}

// demands are what a bundle has to prove under a root: all that the root's services can prove.
func demands(trustedRoot *root.TrustedRoot) []verify.VerifierOption {
	if len(trustedRoot.RekorLogs()) == 0 {
		return []verify.VerifierOption{verify.WithSignedTimestamps(1)}
	}
	options := []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1)}
	if len(trustedRoot.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	return options
}

func judge(raw json.RawMessage, by *trusted) answer {
	entity := &bundle.Bundle{}
	if err := entity.UnmarshalJSON(raw); err != nil {
		return answer{Problem: err.Error(), Unreadable: true}
	}
	content, err := entity.SignatureContent()
	if err != nil {
		return answer{Problem: err.Error(), Unreadable: true}
	}
	envelope := content.EnvelopeContent()
	if envelope == nil {
		return answer{Problem: "it holds no statement", Unreadable: true}
	}
	payload, err := envelope.RawEnvelope().DecodeB64Payload()
	if err != nil {
		return answer{Problem: err.Error(), Unreadable: true}
	}
	if envelope.RawEnvelope().PayloadType != "application/vnd.in-toto+json" || !json.Valid(payload) {
		return answer{Problem: "its payload is no in-toto statement", Unreadable: true}
	}
	material, err := entity.VerificationContent()
	if err != nil {
		return answer{Problem: err.Error(), Unreadable: true}
	}
	var signer string
	if material.Certificate() == nil {
		signer, err = keyOf(entity, by)
	} else {
		signer, err = workflowOf(entity, by)
	}
	if err != nil {
		return answer{Problem: err.Error()}
	}
	return answer{Signer: signer, Statement: payload}
}

func keyOf(entity *bundle.Bundle, by *trusted) (string, error) {
	verifier, err := verify.NewVerifier(by.keys, verify.WithNoObserverTimestamps())
	if err != nil {
		return "", err
	}
	policy := verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithKey())
	result, err := verifier.Verify(entity, policy)
	if err != nil {
		return "", err
	}
	return string(*result.Signature.PublicKeyID), nil
}

func workflowOf(entity *bundle.Bundle, by *trusted) (string, error) {
	problem := errors.New("no root is trusted that a certificate could rest on")
	for _, verifier := range by.roots {
		for name, expected := range by.workflows {
			identity, err := verify.NewShortCertificateIdentity(expected.Issuer, "", expected.SAN, "")
			if err != nil {
				return "", err
			}
			policy := verify.NewPolicy(
				verify.WithoutArtifactUnsafe(), verify.WithCertificateIdentity(identity),
			)
			if _, problem = verifier.Verify(entity, policy); problem == nil {
				return name, nil
			}
		}
	}
	return "", problem
}
