// Command crdcheck judges definitions of custom resources, and objects of them, with the very code
// of the API server: structural schemas, defaults, unknown fields, and CEL rules with their cost.
//
// It reads {"definitions": [...], "objects": [{"object": ..., "old": ...}]} as JSON from standard
// input and writes {"definitions": {name: [error]}, "objects": [[error]]} to standard output. `old`
// is the object before an update, for rules that compare the two. It exits 0 whatever it finds, and 1
// when it cannot read its input. `-version` tells the version of the API server's code.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	crvalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// Set when it is built: the version of k8s.io/apiextensions-apiserver.
var version = "unknown"

type question struct {
	Definitions []*v1.CustomResourceDefinition `json:"definitions"`
	Objects     []struct {
		Object map[string]any `json:"object"`
		Old    map[string]any `json:"old"`
	} `json:"objects"`
}

type answer struct {
	Definitions map[string][]string `json:"definitions"`
	Objects     [][]string          `json:"objects"`
}

// judge holds what the API server makes of one version of a kind.
type judge struct {
	structural *schema.Structural
	open       crvalidation.SchemaValidator
	rules      *cel.Validator
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
	told := answer{Definitions: map[string][]string{}, Objects: [][]string{}}
	judges := map[string]*judge{}
	for _, definition := range asked.Definitions {
		problems, err := definitionProblems(definition, judges)
		if err != nil {
			fail(fmt.Errorf("%s: %w", definition.Name, err))
		}
		told.Definitions[definition.Name] = problems
	}
	for _, item := range asked.Objects {
		told.Objects = append(told.Objects, objectProblems(item.Object, item.Old, judges))
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "crdcheck:", err)
	os.Exit(1)
}

// definitionProblems validates a definition as creating it would, and keeps its judges by kind.
func definitionProblems(
	definition *v1.CustomResourceDefinition, judges map[string]*judge,
) ([]string, error) {
	v1.SetDefaults_CustomResourceDefinition(definition)
	v1.SetDefaults_CustomResourceDefinitionSpec(&definition.Spec)
	internal := &apiextensions.CustomResourceDefinition{}
	err := v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(
		definition, internal, nil)
	if err != nil {
		return nil, err
	}
	// As the registry does before it validates: what is stored is what was served first.
	for _, version := range internal.Spec.Versions {
		if version.Storage {
			internal.Status.StoredVersions = []string{version.Name}
		}
	}
	problems := texts(validation.ValidateCustomResourceDefinition(context.Background(), internal))
	if len(problems) > 0 {
		return problems, nil
	}
	for _, version := range internal.Spec.Versions {
		found, err := apiextensions.GetSchemaForVersion(internal, version.Name)
		if err != nil {
			return nil, err
		}
		structural, err := schema.NewStructural(found.OpenAPIV3Schema)
		if err != nil {
			return nil, err
		}
		open, _, err := crvalidation.NewSchemaValidator(found.OpenAPIV3Schema)
		if err != nil {
			return nil, err
		}
		judges[internal.Spec.Group+"/"+version.Name+" "+internal.Spec.Names.Kind] = &judge{
			structural: structural,
			open:       open,
			rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
		}
	}
	return problems, nil
}

// objectProblems is what an API server would refuse the object for, unknown fields included.
func objectProblems(object, old map[string]any, judges map[string]*judge) []string {
	found := judges[fmt.Sprint(object["apiVersion"], " ", object["kind"])]
	if found == nil {
		return []string{fmt.Sprintf("no definition of %v %v", object["apiVersion"], object["kind"])}
	}
	// Integers come out of JSON as floats; the API server reads them as integers.
	object, old = normalised(object), normalised(old)
	problems := []string{}
	for _, path := range pruning.PruneWithOptions(object, found.structural, true,
		schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		problems = append(problems, path+": unknown field")
	}
	defaulting.Default(object, found.structural)
	if old == nil {
		problems = append(problems, texts(crvalidation.ValidateCustomResource(nil, object, found.open))...)
	} else {
		defaulting.Default(old, found.structural)
		problems = append(problems,
			texts(crvalidation.ValidateCustomResourceUpdate(nil, object, old, found.open))...)
	}
	if len(problems) > 0 {
		return problems
	}
	var before any
	if old != nil {
		before = old
	}
	said, _ := found.rules.Validate(context.Background(), nil, found.structural, object, before,
		celconfig.RuntimeCELCostBudget)
	return append(problems, texts(said)...)
}

func normalised(object map[string]any) map[string]any {
	if object == nil {
		return nil
	}
	return integers(runtime.DeepCopyJSON(object)).(map[string]any)
}

func integers(value any) any {
	switch found := value.(type) {
	case map[string]any:
		for key, child := range found {
			found[key] = integers(child)
		}
	case []any:
		for index, child := range found {
			found[index] = integers(child)
		}
	case float64:
		if found == float64(int64(found)) {
			return int64(found)
		}
	}
	return value
}

func texts(problems field.ErrorList) []string {
	said := make([]string, 0, len(problems))
	for _, problem := range problems {
		said = append(said, problem.Error())
	}
	return said
}
