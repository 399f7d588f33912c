// Command index-bench times what Kubernetes itself does to find the Services of a pod.
//
// In: a folder that probelet-index-bench wrote: pods, Services, and the places of the pods in
// random order. Out: lines "figure NAME NANOSECONDS" and "pairs NAME PODS COUNT HASH".
// It must do nothing but what its rivals do: read labels, find Services.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/endpointslice/util"
)

const (
	// Pods tried by what takes a millisecond for each, and by what takes microseconds.
	few, many = 100, 20_000
	rounds    = 3
	// A round goes on for at least this long, so that the clock's resolution does not count.
	round = 50 * time.Millisecond
)

type cluster struct {
	pods     []*v1.Pod
	services []*v1.Service
	// What a Service asks for; nil where it selects nothing.
	wanted      []labels.Set
	compiled    []labels.Selector
	byNamespace map[string][]int
	order       []int
	lister      listers.ServiceLister
	place       map[string]int
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: index-bench FOLDER")
	}
	c := read(os.Args[1])
	figure("go compile all", cost(c.sample(few), c.everywhere(c.compile)))
	figure("go selector all", cost(c.sample(few), c.everywhere(c.match)))
	figure("go selector namespace", cost(c.sample(many), c.inNamespace(c.match)))
	figure("go validated namespace", cost(c.sample(many), c.inNamespace(c.validated)))
	figure("go endpointslice", cost(c.sample(many), c.endpointslice))
	figure("go projection", cost(c.sample(many), c.projection))
	c.pairs("go compile all", few, c.everywhere(c.compile))
	c.pairs("go selector all", few, c.everywhere(c.match))
	c.pairs("go selector namespace", len(c.order), c.inNamespace(c.match))
	c.pairs("go validated namespace", len(c.order), c.inNamespace(c.validated))
	c.pairs("go endpointslice", min(many, len(c.order)), c.endpointslice)
}

func figure(name string, nanoseconds float64) {
	fmt.Printf("figure\t%s\t%.3f\n", name, nanoseconds)
}

// finder gives the Services of the pod at a place.
type finder func(place int, found func(service int))

type matcher func(service int, set labels.Set) bool

// compile is what Weave Scope did: a selector for every match.
func (c *cluster) compile(service int, set labels.Set) bool {
	return c.wanted[service] != nil && labels.SelectorFromSet(c.wanted[service]).Matches(set)
}

func (c *cluster) match(service int, set labels.Set) bool {
	return c.wanted[service] != nil && c.compiled[service].Matches(set)
}

func (c *cluster) validated(service int, set labels.Set) bool {
	return c.wanted[service] != nil && labels.ValidatedSetSelector(c.wanted[service]).Matches(set)
}

// everywhere tries all Services and then throws away those of other namespaces.
func (c *cluster) everywhere(matches matcher) finder {
	return func(place int, found func(int)) {
		pod := c.pods[place]
		for service := range c.services {
			if matches(service, pod.Labels) && c.services[service].Namespace == pod.Namespace {
				found(service)
			}
		}
	}
}

func (c *cluster) inNamespace(matches matcher) finder {
	return func(place int, found func(int)) {
		pod := c.pods[place]
		for _, service := range c.byNamespace[pod.Namespace] {
			if matches(service, pod.Labels) {
				found(service)
			}
		}
	}
}

func (c *cluster) endpointslice(place int, found func(int)) {
	pod := c.pods[place]
	key := &util.PodProjectionKey{Namespace: pod.Namespace, Labels: pod.Labels}
	keys, err := util.GetServicesToUpdate(c.lister, key)
	if err != nil {
		log.Fatal(err)
	}
	for key := range keys {
		// The controller returns early from an ExternalName, after it was found.
		if service := c.place[key]; c.wanted[service] != nil {
			found(service)
		}
	}
}

// projection is what the controller does first: did anything change that matters? The old pod
// and the new one are different objects, as they are after a watch event.
func (c *cluster) projection(place int, found func(int)) {
	was := *c.pods[place]
	now := was
	now.ResourceVersion = "2"
	if util.GetPodUpdateProjectionKey(&was, &now) != nil {
		log.Fatal("an unchanged pod changed")
	}
}

func (c *cluster) sample(pods int) []int {
	return c.order[:min(pods, len(c.order))]
}

// cost is the CPU time of the process, the collector's included, for each pod: the median.
func cost(sample []int, find finder) float64 {
	total := 0
	var all []float64
	for range rounds {
		runtime.GC()
		calls, start := 0, cpu()
		for calls == 0 || cpu()-start < round {
			for _, place := range sample {
				find(place, func(service int) { total += service })
			}
			calls++
		}
		all = append(all, float64(cpu()-start)/float64(calls*len(sample)))
	}
	runtime.KeepAlive(total)
	slices.Sort(all)
	return all[len(all)/2]
}

func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// pairs prints the number and the hash of all pairs, so that all programs can be compared.
func (c *cluster) pairs(name string, pods int, find finder) {
	var count, sum uint64
	sample := c.sample(pods)
	for _, place := range sample {
		pod := c.pods[place]
		find(place, func(service int) {
			count++
			sum += hash(pod.Namespace, pod.Name, c.services[service].Name)
		})
	}
	fmt.Printf("pairs\t%s\t%d\t%d\t%d\n", name, len(sample), count, sum)
}

// hash is FNV-1a of the names, with a byte between them that no name has.
func hash(names ...string) uint64 {
	sum := uint64(0xcbf29ce484222325)
	for _, name := range names {
		for i := range len(name) {
			sum = (sum ^ uint64(name[i])) * 0x100000001b3
		}
		sum = (sum ^ 0xff) * 0x100000001b3
	}
	return sum
}

func read(folder string) *cluster {
	c := &cluster{byNamespace: map[string][]int{}, place: map[string]int{}}
	for _, cells := range table(folder, "pods.tsv") {
		pod := &v1.Pod{ObjectMeta: meta(cells[0], cells[1]), Spec: v1.PodSpec{NodeName: "node"}}
		pod.Labels = set(cells[3])
		c.pods = append(c.pods, pod)
	}
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for i, cells := range table(folder, "services.tsv") {
		service := &v1.Service{ObjectMeta: meta(cells[0], cells[1])}
		service.Spec.Type = v1.ServiceType(cells[2])
		if cells[3] != "-" {
			service.Spec.Selector = set(cells[3])
		}
		var wanted labels.Set
		if service.Spec.Type != v1.ServiceTypeExternalName {
			wanted = service.Spec.Selector
		}
		c.services = append(c.services, service)
		c.wanted = append(c.wanted, wanted)
		c.compiled = append(c.compiled, labels.SelectorFromSet(wanted))
		c.byNamespace[cells[0]] = append(c.byNamespace[cells[0]], i)
		c.place[cells[0]+"/"+cells[1]] = i
		if err := indexer.Add(service); err != nil {
			log.Fatal(err)
		}
	}
	c.lister = listers.NewServiceLister(indexer)
	for _, cells := range table(folder, "order.tsv") {
		place, err := strconv.Atoi(cells[0])
		if err != nil {
			log.Fatal(err)
		}
		c.order = append(c.order, place)
	}
	return c
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, ResourceVersion: "1"}
}

func set(text string) labels.Set {
	set := labels.Set{}
	for pair := range strings.SplitSeq(text, ",") {
		if key, value, found := strings.Cut(pair, "="); found {
			set[key] = value
		}
	}
	return set
}

func table(folder, name string) [][]string {
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		log.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}
