// Command apimachinery reads cases from standard input, a JSON object per line, and compares the verdict that each
// carries with that of Kubernetes' own code: is it a selector, does it match the labels, is its canonical text one
// that Kubernetes reads the same way, and do two selectors share that text exactly when Kubernetes' requirements
// are the same.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

const (
	shown = 20
	// Each verdict must be given this often: agreement on what never happens means nothing.
	leastCases   = 100_000
	leastPercent = 5
)

// testCase holds one of the three forms of a selector, and what was made of it.
type testCase struct {
	Text   *string               `json:"text"`
	Object *metav1.LabelSelector `json:"object"`
	Set    labels.Set            `json:"set"`

	Labels    labels.Set `json:"labels"`
	Accepted  bool       `json:"accepted"`
	Canonical string     `json:"canonical"`
	Matches   bool       `json:"matches"`
}

func (c *testCase) selector() (labels.Selector, error) {
	switch {
	case c.Text != nil:
		return labels.Parse(*c.Text)
	case c.Object != nil:
		return metav1.LabelSelectorAsSelector(c.Object)
	default:
		return labels.ValidatedSelectorFromSet(c.Set)
	}
}

// meaning writes requirements so that those which demand the same are the same text.
func meaning(selector labels.Selector) string {
	requirements, _ := selector.Requirements()
	var all []string
	for _, r := range requirements {
		op := r.Operator()
		switch op {
		case selection.Equals, selection.DoubleEquals:
			op = selection.In
		case selection.NotEquals:
			op = selection.NotIn
		}
		all = append(all, fmt.Sprintf("%s %s %q", r.Key(), op, r.Values().List()))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "; ")
}

type comparison struct {
	count                                           int
	accepted, rejected, matched, unmatched, objects int
	differences                                     int
	canonicalOf, meaningOf                          map[string]string
}

func (c *comparison) differ(line []byte, format string, args ...any) {
	if c.differences++; c.differences <= shown {
		fmt.Printf("%s\n    %s\n", fmt.Sprintf(format, args...), line)
	}
}

func (c *comparison) add(line []byte) error {
	var t testCase
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		return fmt.Errorf("line %d is no case: %w", c.count+1, err)
	}
	c.count++
	if t.Object != nil {
		c.objects++
	}
	selector, err := t.selector()
	if t.Accepted != (err == nil) {
		c.differ(line, "Kubernetes says: %v", err)
		return nil
	}
	if err != nil {
		c.rejected++
		return nil
	}
	c.accepted++
	matches := selector.Matches(t.Labels)
	if matches {
		c.matched++
	} else {
		c.unmatched++
	}
	if t.Matches != matches {
		c.differ(line, "Kubernetes' match: %v", matches)
	}
	c.compareCanonical(line, &t, selector)
	return nil
}

func (c *comparison) compareCanonical(line []byte, t *testCase, selector labels.Selector) {
	again, err := labels.Parse(t.Canonical)
	if err != nil {
		c.differ(line, "Kubernetes cannot read the canonical text: %v", err)
		return
	}
	want := meaning(selector)
	if got := meaning(again); got != want {
		c.differ(line, "Kubernetes reads the canonical text as %s instead of %s", got, want)
	}
	if have, found := c.canonicalOf[want]; found && have != t.Canonical {
		c.differ(line, "the same requirements had the canonical text %s before", have)
	}
	if have, found := c.meaningOf[t.Canonical]; found && have != want {
		c.differ(line, "the same canonical text meant %s before", have)
	}
	c.canonicalOf[want], c.meaningOf[t.Canonical] = t.Canonical, want
}

// thin names a verdict that was given too seldom, if any.
func (c *comparison) thin() string {
	if c.count < leastCases {
		return fmt.Sprintf("only %d cases", c.count)
	}
	for name, count := range map[string]int{
		"accepted": c.accepted, "rejected": c.rejected, "matched": c.matched, "not matched": c.unmatched, "objects": c.objects,
	} {
		if count*100 < c.count*leastPercent {
			return fmt.Sprintf("only %d of %d cases are %s", count, c.count, name)
		}
	}
	return ""
}

func run(in io.Reader) error {
	c := comparison{canonicalOf: map[string]string{}, meaningOf: map[string]string{}}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if err := c.add(scanner.Bytes()); err != nil {
			return err
		}
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	if c.differences > 0 {
		return fmt.Errorf("%d differences in %d cases", c.differences, c.count)
	}
	if thin := c.thin(); thin != "" {
		return fmt.Errorf("the cases prove too little: %s", thin)
	}
	fmt.Printf("PASS: %d selectors (%d accepted, %d rejected; %d matched, %d did not; %d distinct) are to Kubernetes what they are to us\n",
		c.count, c.accepted, c.rejected, c.matched, c.unmatched, len(c.meaningOf))
	return nil
}

func main() {
	if err := run(os.Stdin); err != nil {
		fmt.Printf("FAIL: %v\n", err)
		os.Exit(1)
	}
}
