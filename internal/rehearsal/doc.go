// Package rehearsal runs a whole program on the real Pulumi engine against
// stand-in providers: preview, up, a second up that must change nothing, and on
// request destroy. It makes up the secrets, keeps everything in a folder of its
// own and leaves nothing behind. It is an aid to see and to test a program, never
// a claim that a cloud accepted it.
//
// What the stand-ins know of Google Cloud and Kubernetes lives in
// internal/standin; how results look to people in internal/report.
package rehearsal
