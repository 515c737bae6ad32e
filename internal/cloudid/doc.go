// Package cloudid computes the ids that Google Cloud's and Kubernetes' providers
// give to resources from the inputs that they are made with. What the ids are used
// for (import files, recovery after a kill) lives in package stacks.
package cloudid
