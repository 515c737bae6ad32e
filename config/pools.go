package config

// NamedPool is a node pool with its role.
type NamedPool struct {
	// Role is the value of the label k8s.deepgram.com/node-type (guide G-C.2).
	Role string
	// Key is the pool's key below pools.
	Key string
	Pool
}

// NodePools are the pools that this configuration makes or needs, in the order of
// their keys.
func (c *Config) NodePools() []NamedPool {
	used := c.usedPools()
	out := make([]NamedPool, 0, len(used))
	for _, p := range used {
		out = append(out, NamedPool{Role: p.role, Key: p.key, Pool: *p.pool})
	}
	return out
}
