// Package comment posts a report to the pull request (GitHub) or merge request
// (GitLab) that it belongs to: it finds the request, finds its own comment of an
// earlier run, and updates, adds or hides. It knows nothing of Pulumi and
// renders nothing: the bodies come from internal/report.
//
// A report is known by a hidden marker, the first line of the comment, that
// names project, stack and command. Only comments that the token's own identity
// wrote are ever touched.
package comment
