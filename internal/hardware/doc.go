// Package hardware is the catalogue of Google Cloud machine types and GPUs:
// cores, memory, GPUs built in or attachable, compute capability, the disks a
// family can attach, and what GKE leaves of a machine for pods. It is the only
// place with such figures; each one stands beside its source. What Deepgram
// needs of a machine is not said here, but by the policies.
//
// Google writes GB where it means GiB; the catalogue counts memory in MiB.
package hardware
