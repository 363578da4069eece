package deploy

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// scaledObject is what we use of KEDA's, which publishes no light module of types.
type scaledObject struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   map[string]any
	Spec       struct {
		ScaleTargetRef  struct{ Name string } `json:"scaleTargetRef"`
		MinReplicaCount int                   `json:"minReplicaCount"`
		MaxReplicaCount int                   `json:"maxReplicaCount"`
		PollingInterval int                   `json:"pollingInterval"`
		CooldownPeriod  int                   `json:"cooldownPeriod"`
		Advanced        map[string]any        `json:"advanced"`
		Triggers        []struct {
			Type     string
			Metadata map[string]string
		} `json:"triggers"`
	} `json:"spec"`
}

func build(t *testing.T, overlay string) map[string]any {
	t.Helper()
	res, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deployments/kubernetes/overlays", overlay))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	for _, r := range res.Resources() {
		var o any
		switch r.GetKind() {
		case "Namespace":
			o = &corev1.Namespace{}
		case "ServiceAccount":
			o = &corev1.ServiceAccount{}
		case "ConfigMap":
			o = &corev1.ConfigMap{}
		case "Service":
			o = &corev1.Service{}
		case "Deployment":
			o = &appsv1.Deployment{}
		case "StatefulSet":
			o = &appsv1.StatefulSet{}
		case "Job":
			o = &batchv1.Job{}
		case "PodDisruptionBudget":
			o = &policyv1.PodDisruptionBudget{}
		case "NetworkPolicy":
			o = &networkingv1.NetworkPolicy{}
		case "ScaledObject":
			o = &scaledObject{}
		default:
			t.Fatalf("no type is known for the kind %s", r.GetKind())
		}
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, o); err != nil {
			t.Errorf("%s %s: %v", r.GetKind(), r.GetName(), err)
		}
		if r.GetKind() != "Namespace" && r.GetNamespace() != "aftercall" {
			t.Errorf("%s %s is in the namespace %q", r.GetKind(), r.GetName(), r.GetNamespace())
		}
		out[r.GetKind()+"/"+strings.Split(r.GetName(), "-")[0]] = o
		if r.GetKind() == "NetworkPolicy" {
			out["NetworkPolicy/"+r.GetName()] = o
		}
	}
	return out
}

var overlays = []string{"small", "production"}

func TestEveryOverlayBuildsAndItsPodsReadWhatTheyAreGiven(t *testing.T) {
	all := settings(t)
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			objects := build(t, overlay)
			common := objects["ConfigMap/aftercall"].(*corev1.ConfigMap).Data
			pods := map[string]corev1.PodTemplateSpec{
				"router":    objects["StatefulSet/router"].(*appsv1.StatefulSet).Spec.Template,
				"sender":    objects["Deployment/sender"].(*appsv1.Deployment).Spec.Template,
				"projector": objects["Deployment/projector"].(*appsv1.Deployment).Spec.Template,
				"admin":     objects["Deployment/admin"].(*appsv1.Deployment).Spec.Template,
				"topics":    objects["Job/topics"].(*batchv1.Job).Spec.Template,
			}
			for name, pod := range pods {
				for variable := range common {
					known(t, all, name, variable)
				}
				supplied(t, name, func(variable string) bool {
					return common[variable] != "" || slices.ContainsFunc(pod.Spec.Containers[0].Env, func(e corev1.EnvVar) bool { return e.Name == variable })
				})
				for _, fault := range restricted(name, pod) {
					t.Errorf("%s: %s", name, fault)
				}
				for _, e := range pod.Spec.Containers[0].Env {
					known(t, all, name, e.Name)
					if strings.HasSuffix(e.Name, "_FILE") && !mounted(pod, e.Value) {
						t.Errorf("%s reads %s, which nothing mounts", name, e.Value)
					}
				}
				if _, budget := objects["PodDisruptionBudget/"+name]; !budget && name != "topics" {
					t.Errorf("%s has no disruption budget", name)
				}
			}
		})
	}
}

// restricted are the ways in which a pod is not what the pod security standard
// "restricted" and our own rules ask for.
func restricted(name string, pod corev1.PodTemplateSpec) (faults []string) {
	say := func(bad bool, what string) {
		if bad {
			faults = append(faults, what)
		}
	}
	s, c := pod.Spec, pod.Spec.Containers[0]
	say(pod.Labels["app.kubernetes.io/name"] != name, "policies would not find it by its label")
	say(s.EnableServiceLinks == nil || *s.EnableServiceLinks, "service links are on")
	say(s.AutomountServiceAccountToken == nil || *s.AutomountServiceAccountToken, "it is given a token of Kubernetes")
	say(s.SecurityContext == nil || s.SecurityContext.RunAsNonRoot == nil || !*s.SecurityContext.RunAsNonRoot || s.SecurityContext.SeccompProfile == nil, "it may be root, or call anything")
	say(c.SecurityContext == nil || c.SecurityContext.Capabilities == nil || len(c.SecurityContext.Capabilities.Drop) != 1 ||
		c.SecurityContext.AllowPrivilegeEscalation == nil || *c.SecurityContext.AllowPrivilegeEscalation ||
		c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem, "it has privileges")
	say(c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero(), "it has no limit of memory, or asks for no CPU")
	for _, e := range c.Env {
		say(e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil, "a secret is in its environment")
	}
	if name != "topics" {
		say(c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe == nil || c.LivenessProbe.HTTPGet.Path != "/livez", "it is not probed")
	}
	return faults
}

func mounted(pod corev1.PodTemplateSpec, path string) bool {
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		if strings.HasPrefix(path, m.MountPath+"/") {
			return true
		}
	}
	return false
}

var deniedRange = regexp.MustCompile(`(?m)^\tr\("([^"]+)"`)

// What the dialer denies is kept from senders by the network as well.
func TestTheNetworkPolicyBacksTheAddressGuard(t *testing.T) {
	policy := build(t, "production")["NetworkPolicy/webhooks"].(*networkingv1.NetworkPolicy)
	denied := deniedRange.FindAllStringSubmatch(read(t, "pkg/safedial/ranges.go"), -1)
	if len(denied) < 20 {
		t.Fatalf("%d denied ranges were found", len(denied))
	}
	for _, m := range denied {
		prefix := netip.MustParsePrefix(m[1])
		for _, peer := range policy.Spec.Egress[0].To {
			if reach(peer.IPBlock, prefix) {
				t.Errorf("the policy lets senders reach %s by %s", prefix, peer.IPBlock.CIDR)
			}
		}
	}
}

// reach says whether a block leaves some of a prefix open.
func reach(b *networkingv1.IPBlock, p netip.Prefix) bool {
	if !netip.MustParsePrefix(b.CIDR).Overlaps(p) {
		return false
	}
	for _, e := range b.Except {
		except := netip.MustParsePrefix(e)
		if except.Contains(p.Addr()) && except.Bits() <= p.Bits() {
			return false
		}
	}
	return true
}

func TestSendersAreScaledByTheLagOfTheirGroup(t *testing.T) {
	objects := build(t, "production")
	s := objects["ScaledObject/sender"].(*scaledObject)
	topics := read(t, "pkg/topic/topic.go")
	trigger := s.Spec.Triggers[0]
	if trigger.Type != "kafka" || !strings.Contains(topics, `"`+trigger.Metadata["consumerGroup"]+`"`) || !strings.Contains(topics, `"`+trigger.Metadata["topic"]+`"`) {
		t.Errorf("%+v", trigger)
	}
	if !strings.Contains(topics, fmt.Sprintf("{Name: Deliveries, Key: KeyShard, Partitions: %d,", s.Spec.MaxReplicaCount)) {
		t.Errorf("%d senders at most, which is not the number of partitions", s.Spec.MaxReplicaCount)
	}
	if n := objects["Deployment/sender"].(*appsv1.Deployment).Spec.Replicas; n != nil {
		t.Errorf("the manifest and KEDA both count the senders: %d", *n)
	}
}
