// Command podcheck judges pods by the Pod Security Standards with Kubernetes' own code: the checks
// and the search for pods in objects that the API server's admission runs.
//
// It reads {"level": "restricted", "version": "latest", "objects": [...]} as JSON from standard input.
// For each object it writes {"holds": "pod", "problems": ["hostPort (...)"]} to standard output, as a
// list: `holds` is "nothing" for an object without pods, and "unknown" when it is of no kind that
// admission knows or cannot be decoded, in which case nothing was judged and `problems` says why. It
// exits 0 whatever it finds, and 1 when it cannot read its input. `-version` prints the version of
// pod-security-admission that it judges with.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/pod-security-admission/admission"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// Set when it is built: the version of k8s.io/pod-security-admission.
var version = "unknown"

type question struct {
	Level   string            `json:"level"`
	Version string            `json:"version"`
	Objects []json.RawMessage `json:"objects"`
}

type answer struct {
	Holds    string   `json:"holds"`
	Problems []string `json:"problems"`
}

// extractor finds the pod in an object, as admission does.
var extractor = admission.DefaultPodSpecExtractor{}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-version" {
		fmt.Println(version)
		return
	}
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err)
	}
	level, err := api.ParseLevel(asked.Level)
	if err != nil {
		fail(err)
	}
	parsed, err := api.ParseVersion(asked.Version)
	if err != nil {
		fail(err)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		fail(err)
	}
	decoder, err := strictDecoder()
	if err != nil {
		fail(err)
	}
	told := []answer{}
	for _, raw := range asked.Objects {
		told = append(told, judge(raw, decoder, evaluator, api.LevelVersion{Level: level, Version: parsed}))
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "podcheck:", err)
	os.Exit(1)
}

// strictDecoder decodes objects of the groups that hold workloads; unknown fields are errors.
func strictDecoder() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme,
		networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	options := serializer.SerializerOptions{Strict: true}
	return serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme, scheme, options), nil
}

func judge(
	raw json.RawMessage, decoder runtime.Decoder, evaluator policy.Evaluator, held api.LevelVersion,
) answer {
	object, kind, err := decoder.Decode(raw, nil, nil)
	if err != nil {
		return answer{Holds: "unknown", Problems: []string{err.Error()}}
	}
	metadata, spec, err := podOf(object, *kind)
	if err != nil {
		return answer{Holds: "unknown", Problems: []string{err.Error()}}
	}
	if spec == nil {
		return answer{Holds: "nothing", Problems: []string{}}
	}
	setDefaults(spec)
	problems := []string{}
	for _, result := range evaluator.EvaluatePod(held, metadata, spec) {
		if !result.Allowed {
			one := policy.AggregateCheckResults([]policy.CheckResult{result})
			problems = append(problems, one.ForbiddenDetail())
		}
	}
	return answer{Holds: "pod", Problems: problems}
}

// setDefaults does what the API server does to a pod before admission, as far as the checks look at it:
// a volume that names no source is an empty folder.
func setDefaults(spec *corev1.PodSpec) {
	for index := range spec.Volumes {
		if source := &spec.Volumes[index].VolumeSource; *source == (corev1.VolumeSource{}) {
			source.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
}

// podOf is the pod of an object, nil for a kind that admission looks for none in.
func podOf(
	object runtime.Object, kind schema.GroupVersionKind,
) (*metav1.ObjectMeta, *corev1.PodSpec, error) {
	plural, _ := meta.UnsafeGuessKindToResource(kind)
	if !extractor.HasPodSpec(plural.GroupResource()) {
		return nil, nil, nil
	}
	return extractor.ExtractPodSpec(object)
}
