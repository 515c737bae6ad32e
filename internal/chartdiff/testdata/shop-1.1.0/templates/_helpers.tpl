{{- define "labels" -}}
app: shop
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
