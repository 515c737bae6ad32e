// Package capacity reads from a plan how much a deployment can do and what it
// costs: engine replicas, streams, GPUs, nodes, and US dollars a month.
//
// What belongs here: the price table, and the sums. What does not: figures of
// machines (internal/hardware), and how they look (internal/report).
package capacity
