{{/* Puts the defaults in the place of values that are not there: those that are null, as a section is whose lines are all commented
     out, and those that an older chart did not have (helm upgrade --reuse-values). Lists, maps of Kubernetes' own and names of
     priority classes are empty then, since null is how one takes a default away. Each template begins with it, as Helm renders them
     in an order of its own. */}}
{{- define "probelet.defaults" -}}
{{- include "probelet.fill" (dict "into" .Values "from" (.Files.Get "files/defaults.yaml" | fromYaml)) -}}
{{- end -}}

{{- define "probelet.fill" -}}
{{- $into := .into -}}
{{- $free := list "affinity" "alertLabels" "annotations" "appArmorProfile" "commonLabels" "config" "instanceSelector" "labels" "nodeSelector"
      "podAnnotations" "podLabels" "podSecurityContext" "resources" "rollingUpdate" "seLinuxOptions" "tlsConfig" -}}
{{- range $key, $default := .from -}}
{{- $has := and (hasKey $into $key) (not (kindIs "invalid" (get $into $key))) -}}
{{- $isFree := has $key $free -}}
{{- if and $has (kindIs "map" $default) (not $isFree) -}}
{{- include "probelet.fill" (dict "into" (get $into $key) "from" $default) -}}
{{- else if and $has $isFree (kindIs "map" (get $into $key)) (ne $key "podSecurityContext") -}}
{{- include "probelet.withoutNulls" (get $into $key) -}}
{{- else if $has -}}
{{- else if $isFree -}}
{{- $_ := set $into $key dict -}}
{{- else if kindIs "slice" $default -}}
{{- $_ := set $into $key list -}}
{{- else if ne $key "priorityClassName" -}}
{{- $_ := set $into $key $default -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A key without a value takes away what a values file before it has. */}}
{{- define "probelet.withoutNulls" -}}
{{- range $key, $value := . -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $ $key -}}
{{- else if kindIs "map" $value -}}
{{- include "probelet.withoutNulls" $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "probelet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimAll "-_." -}}
{{- end -}}

{{/* 63 characters fit a label and a Service's name; 16 of them are for what we append. A Service's name begins with a letter and has
     no dots, which a release's may. */}}
{{- define "probelet.fullname" -}}
{{- $name := .Release.Name -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if not (contains "probelet" .Release.Name) -}}
{{- $name = printf "%s-probelet" (trunc 38 .Release.Name | trimSuffix "-") -}}
{{- end -}}
{{- $name = replace "." "-" $name -}}
{{- if regexMatch "^[0-9]" $name -}}
{{- $name = printf "probelet-%s" $name -}}
{{- end -}}
{{- $name | trunc 47 | trimSuffix "-" -}}
{{- end -}}

{{/* The labels by which controllers find their pods; they can never change. Call with (dict "root" $ "component" "agent"). */}}
{{- define "probelet.selectorLabels" -}}
app.kubernetes.io/name: {{ include "probelet.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of pods. The chart's version is not among them: a release that changes no pod restarts none. Programs find pods by
     `part-of` and `component`, which no value changes: see "probelet.foundBy". */}}
{{- define "probelet.podLabels" -}}
{{- $ours := fromYaml (include "probelet.selectorLabels" .) -}}
{{- $_ := set $ours "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $ours "app.kubernetes.io/part-of" "probelet" -}}
{{- toYaml (merge $ours (.more | default dict) .root.Values.commonLabels (fromYaml (include "probelet.unmeshed.labels" .))) -}}
{{- end -}}

{{/* Keep pods out of service meshes, for values may say otherwise. Agents are on the nodes' network and in no mesh, and ask the
     operator over TLS of its own: behind the sidecar of a mesh that wants mutual TLS it would refuse them, and they would have no pods.
     A sidecar would also keep the pod of helm test from ending. */}}
{{- define "probelet.unmeshed.labels" -}}
sidecar.istio.io/inject: "false"
istio.io/dataplane-mode: none
{{- end -}}

{{- define "probelet.unmeshed.annotations" -}}
linkerd.io/inject: disabled
{{- end -}}

{{/* Annotations of pods. Call with (dict "own" MAP "component" NAME). */}}
{{- define "probelet.podAnnotations" -}}
{{- $ours := dict "kubectl.kubernetes.io/default-container" .component -}}
{{- toYaml (merge (dict) .own $ours (fromYaml (include "probelet.unmeshed.annotations" .))) -}}
{{- end -}}

{{/* Labels of objects; "component" may be left out. */}}
{{- define "probelet.labels" -}}
{{- $ours := dict
      "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
      "app.kubernetes.io/name" (include "probelet.name" .root)
      "app.kubernetes.io/instance" .root.Release.Name
      "app.kubernetes.io/version" .root.Chart.AppVersion
      "app.kubernetes.io/managed-by" .root.Release.Service
      "app.kubernetes.io/part-of" "probelet" -}}
{{- with .component -}}
{{- $_ := set $ours "app.kubernetes.io/component" . -}}
{{- end -}}
{{- toYaml (merge $ours (.more | default dict) .root.Values.commonLabels) -}}
{{- end -}}

{{/* Call with (dict "root" $ "component" "agent"). */}}
{{- define "probelet.serviceAccountName" -}}
{{- $account := (get .root.Values .component).serviceAccount -}}
{{- if $account.name -}}
{{- $account.name -}}
{{- else if $account.create -}}
{{- printf "%s-%s" (include "probelet.fullname" .root) .component -}}
{{- else -}}
{{- fail (printf "%s.serviceAccount.name: give the name of the account to use, or set %s.serviceAccount.create to true" .component .component) -}}
{{- end -}}
{{- end -}}

{{/* Call with (dict "root" $ "component" "agent"). */}}
{{- define "probelet.image" -}}
{{- $image := (get .root.Values .component).image -}}
{{- $registry := coalesce .root.Values.image.registry (.root.Values.global | default dict).imageRegistry | required "image.registry: say where the images are, with --set image.registry=HOST/PATH, such as the place that you copied a release to; localhost if you loaded them onto the nodes (docs/user/install.md)" -}}
{{- $name := printf "%s/%s" (trimSuffix "/" $registry) $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (coalesce $image.tag .root.Values.image.tag .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* A pod's variables. Two of one name are refused by server-side apply, with which Helm 4 installs. Call with (dict "ours" YAML
     "more" LIST); of more the last one of a name counts, as for the kubelet. */}}
{{- define "probelet.env" -}}
{{- $all := list -}}
{{- $seen := dict -}}
{{- range concat (fromYamlArray .ours) (.more | default list) | reverse -}}
{{- if not (hasKey $seen (toString .name)) -}}
{{- $_ := set $seen (toString .name) true -}}
{{- $all = prepend $all . -}}
{{- end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* Secrets for the registry: of this chart, and of the chart around it, where names alone are usual as well. */}}
{{- define "probelet.imagePullSecrets" -}}
{{- $all := .Values.imagePullSecrets -}}
{{- range (.Values.global | default dict).imagePullSecrets -}}
{{- $all = append $all (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $all -}}
imagePullSecrets:
  {{- toYaml (uniq .) | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* What kubectl probelet and helm test find a component's pods by, whatever the installation is called. */}}
{{- define "probelet.foundBy" -}}
app.kubernetes.io/part-of: probelet
app.kubernetes.io/component: {{ . }}
{{- end -}}

{{/* The token of a pod, as a volume: bound to the pod, and good for an hour. What the kubelet mounts by itself is extended to
     a year by the API server. Call with the seconds that it is good for. */}}
{{- define "probelet.token.volume" -}}
- name: token
  projected:
    defaultMode: 420
    sources:
      - serviceAccountToken:
          expirationSeconds: {{ . }}
          path: token
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                apiVersion: v1
                fieldPath: metadata.namespace
{{- end -}}

{{- define "probelet.token.mount" -}}
- name: token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end -}}

{{/* The security context of pods that need nothing: what is null in the value is left to the cluster, such as the user that
     OpenShift hands out. */}}
{{- define "probelet.operator.podSecurityContext" -}}
{{- $kept := dict -}}
{{- range $key, $value := .Values.operator.podSecurityContext -}}
{{- if not (or (kindIs "invalid" $value) (and (kindIs "map" $value) (empty $value))) -}}
{{- $_ := set $kept $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}

{{/* The agent's affinity: what the value says, and in each of its terms for nodes, that the node is one on which an agent can
     run at all. So a term of one's own takes nothing of this away. */}}
{{- define "probelet.agent.affinity" -}}
{{- $affinity := deepCopy .Values.agent.affinity -}}
{{- $must := list -}}
{{- if .Values.agent.excludeVirtualNodes -}}
{{- $must = append $must (dict "key" "eks.amazonaws.com/compute-type" "operator" "NotIn" "values" (list "fargate")) -}}
{{- $must = append $must (dict "key" "type" "operator" "NotIn" "values" (list "virtual-kubelet" "kwok")) -}}
{{- $must = append $must (dict "key" "liqo.io/type" "operator" "NotIn" "values" (list "virtual-node")) -}}
{{- end -}}
{{- with .Values.image.architectures -}}
{{- $must = append $must (dict "key" "kubernetes.io/arch" "operator" "In" "values" .) -}}
{{- end -}}
{{- if $must -}}
{{- $nodes := $affinity.nodeAffinity | default dict -}}
{{- $required := $nodes.requiredDuringSchedulingIgnoredDuringExecution | default dict -}}
{{- $terms := list -}}
{{- range $required.nodeSelectorTerms | default (list dict) -}}
{{- $terms = append $terms (merge (dict "matchExpressions" (concat (.matchExpressions | default list) $must)) .) -}}
{{- end -}}
{{- $nodes = merge (dict "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms)) $nodes -}}
{{- $affinity = merge (dict "nodeAffinity" $nodes) $affinity -}}
{{- end -}}
{{- with $affinity -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* What is odd about the values of metrics, a line each. */}}
{{- define "probelet.metrics.warnings" -}}
{{- $metrics := .Values.metrics -}}
{{- $rule := $metrics.prometheusRule -}}
{{- if and $rule.enabled $rule.alerts (not $metrics.serviceMonitor.enabled) (not (has "ProbeletOperatorDown" $rule.disabledAlerts)) }}
metrics.prometheusRule.enabled is true and metrics.serviceMonitor.enabled is false: unless Prometheus scrapes the operator by other means, ProbeletOperatorDown fires; name it in metrics.prometheusRule.disabledAlerts.
{{- end }}
{{- if and $metrics.podMonitor.enabled (regexMatch "h|([3-9]|[0-9]{2,})m([0-9]|$)" $metrics.podMonitor.interval) }}
metrics.podMonitor.interval is 3m or more: rules and dashboards take rates over 5 minutes and need two scrapes within them.
{{- end }}
{{- end -}}

{{/* Relabellings with the action spelt out: prometheus-operator's CRD adds it inside the list, which GitOps tools compare as
     a whole. */}}
{{- define "probelet.relabelings" -}}
{{- $all := list -}}
{{- range . -}}
{{- $all = append $all (merge (dict) . (dict "action" "replace")) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* Subjects of a binding with the group that the API server would add, for the same reason. */}}
{{- define "probelet.subjects" -}}
{{- $all := list -}}
{{- range . -}}
{{- if eq .kind "ServiceAccount" -}}
{{- $all = append $all . -}}
{{- else -}}
{{- $all = append $all (merge (dict) . (dict "apiGroup" "rbac.authorization.k8s.io")) -}}
{{- end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* Whether the agent enters the node's network namespace when it starts: "true" or nothing. On the node's network it is there. */}}
{{- define "probelet.agent.enters" -}}
{{- if and .Values.agent.capabilities.conntrack (not .Values.agent.hostNetwork) -}}
true
{{- end -}}
{{- end -}}

{{/* The agent's capabilities as a YAML list: those that it starts with. docs/adr/0012 weighs them, docs/threat-model.md names them. */}}
{{- define "probelet.agent.capabilities" -}}
{{- $wanted := .Values.agent.capabilities -}}
{{- $names := list -}}
{{- if $wanted.bpf -}}
{{- $names = concat $names (list "BPF" "PERFMON") -}}
{{- end -}}
{{- if $wanted.conntrack -}}
{{- $names = concat $names (list "NET_ADMIN" "NET_BROADCAST") -}}
{{- end -}}
{{- if or $wanted.fallback (include "probelet.agent.enters" .) -}}
{{- $names = concat $names (list "SYS_PTRACE" "SYS_ADMIN") -}}
{{- end -}}
{{- if $wanted.fallback -}}
{{- $names = append $names "DAC_READ_SEARCH" -}}
{{- end -}}
{{- $names = append $names "SETPCAP" -}}
{{- if not (or $wanted.bpf $wanted.fallback) -}}
{{- fail "agent.capabilities: with neither bpf nor fallback the agent could read nothing; set one of them to true" -}}
{{- end -}}
{{- range $wanted.extra -}}
{{- if hasPrefix "CAP_" . -}}
{{- fail (printf "agent.capabilities.extra: write %s, not %s" (trimPrefix "CAP_" .) .) -}}
{{- end -}}
{{- end -}}
{{- toYaml (concat $names $wanted.extra | uniq) -}}
{{- end -}}

{{/* The agent's AppArmor profile as a YAML map, or nothing, which is the runtime's default wherever there is AppArmor: asked for by name
     (RuntimeDefault), the kubelet refuses the pod on nodes without. That default refuses a look into processes outside of the container, such
     as the one by which the node's network namespace is found. */}}
{{- define "probelet.agent.appArmorProfile" -}}
{{- if .Values.agent.appArmorProfile -}}
{{- toYaml .Values.agent.appArmorProfile -}}
{{- else if or .Values.agent.capabilities.fallback (include "probelet.agent.enters" .) -}}
type: Unconfined
{{- end -}}
{{- end -}}

{{/* The name that agents' certificates are for where cert-manager makes them: none resolves it, clients name it. */}}
{{- define "probelet.agent.tlsName" -}}
{{- printf "%s-agent.%s.svc" (include "probelet.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* The Secret with agents' certificate. */}}
{{- define "probelet.agent.tlsSecret" -}}
{{- .Values.agent.tls.secretName | default (printf "%s-agent-tls" (include "probelet.fullname" .)) -}}
{{- end -}}

{{/* Whether the operator hands out pods, and whether agents may list those of the cluster: "true" or nothing. Upgrades with --reuse-values
     know neither value. */}}
{{- define "probelet.feeds" -}}
{{- if eq (dig "pods" "source" "feed" .Values.agent) "feed" -}}
true
{{- end -}}
{{- end -}}

{{- define "probelet.agent.listsPods" -}}
{{- if or (not (include "probelet.feeds" .)) (dig "pods" "fallback" false .Values.agent) -}}
true
{{- end -}}
{{- end -}}

{{/* The operator's Service; the Secret and the ConfigMap of the feed are called the same, with `-tls`, as agents expect. */}}
{{- define "probelet.operator.service" -}}
{{- printf "%s-operator" (include "probelet.fullname" .) -}}
{{- end -}}

{{/* Whom agents' tokens for the feed are made for. */}}
{{- define "probelet.feed.audience" -}}
probelet-feed
{{- end -}}

{{- define "probelet.agent.portName" -}}
{{- eq .Values.agent.tls.mode "none" | ternary "http" "https" -}}
{{- end -}}

{{/* Walks the seed beside the CRD's schema: a misspelt field, or text where a number belongs, is found before anything is installed,
     not in a log after.
     Ranges and rules are left to the API server. Call with (dict "path" "config" "value" V "schema" S). */}}
{{- define "probelet.config.check" -}}
{{- $path := .path -}}
{{- $schema := .schema -}}
{{- if and $schema.enum (not (has .value $schema.enum)) -}}
{{- $hint := kindIs "bool" .value | ternary " (YAML reads Off, On, Yes and No as true or false: put quotes around it)" "" -}}
{{- fail (printf "%s: %v is not one of %s%s" $path .value (join ", " $schema.enum) $hint) -}}
{{- end -}}
{{- $types := dict "map" "object" "slice" "array" "string" "string" "bool" "boolean" "float64" "integer" "int64" "integer" "int" "integer" -}}
{{- $got := get $types (kindOf .value) -}}
{{- if and $got $schema.type (ne $got $schema.type) -}}
{{- fail (printf "%s: got %s %v, want %s" $path (eq $got "integer" | ternary "number" $got) .value $schema.type) -}}
{{- end -}}
{{- if and (eq $got "integer") $schema.type (ne (floor .value) (float64 .value)) -}}
{{- fail (printf "%s: got %v, want a whole number" $path .value) -}}
{{- end -}}
{{- if and (kindIs "map" .value) $schema.properties -}}
{{- range $key, $value := .value -}}
{{- if not (hasKey $schema.properties $key) -}}
{{- fail (printf "%s.%s: there is no such field; known here: %s" $path $key (keys $schema.properties | sortAlpha | join ", ")) -}}
{{- end -}}
{{- include "probelet.config.check" (dict "path" (printf "%s.%s" $path $key) "value" $value "schema" (get $schema.properties $key)) -}}
{{- end -}}
{{- else if and (kindIs "map" .value) (kindIs "map" $schema.additionalProperties) -}}
{{- range $key, $value := .value -}}
{{- include "probelet.config.check" (dict "path" (printf "%s.%s" $path $key) "value" $value "schema" $schema.additionalProperties) -}}
{{- end -}}
{{- else if and (kindIs "slice" .value) $schema.items -}}
{{- range $index, $value := .value -}}
{{- include "probelet.config.check" (dict "path" (printf "%s[%d]" $path $index) "value" $value "schema" $schema.items) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A monitor that the cluster has no kind for would fail in the middle of an install, with a worse message. */}}
{{- define "probelet.needMonitoring" -}}
{{- if not (.root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind)) -}}
{{- fail (printf "%s.enabled: the cluster does not know %s (monitoring.coreos.com/v1); install prometheus-operator first or set it to false (helm template: --api-versions monitoring.coreos.com/v1/%s)" .value .kind .kind) -}}
{{- end -}}
{{- end -}}
