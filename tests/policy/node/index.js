// The hardware rules of policy/rules once more, for Pulumi's Node policy SDK.
// They exist to compare speed, not to be used: the catalogue is cut down to what
// the comparison's stack has in it.
"use strict";
const { PolicyPack } = require("@pulumi/policy");

const role = "k8s.deepgram.com/node-type";
const gpus = {
    "nvidia-tesla-k80": { memory: 12, capability: 3.7 },
    "nvidia-tesla-p4": { memory: 8, capability: 6.1 },
    "nvidia-tesla-p100": { memory: 16, capability: 6.0 },
    "nvidia-tesla-v100": { memory: 16, capability: 7.0 },
    "nvidia-tesla-t4": { memory: 16, capability: 7.5 },
    "nvidia-l4": { memory: 24, capability: 8.9 },
};
const perCore = { standard: 4, highmem: 8, highcpu: 1 };
const builtIn = { g2: { type: "nvidia-l4", counts: { 24: 2, 48: 4, 96: 8 } } };

function machineOf(node) {
    const name = node.machineType || "e2-medium";
    const m = /^([a-z0-9]+)-(standard|highmem|highcpu)-([0-9]+)$/.exec(name);
    if (!m) {
        return undefined;
    }
    const vcpus = Number(m[3]);
    const memory = vcpus * (m[1] === "n1" ? 3.75 : perCore[m[2]]);
    const own = builtIn[m[1]];
    return { name, vcpus, memory, gpu: own && { type: own.type, count: own.counts[vcpus] || 1 } };
}

function pools(args) {
    if (args.type === "gcp:container/nodePool:NodePool") {
        return [{ what: `node pool "${args.name}"`, node: args.props.nodeConfig || {}, in: args.props }];
    }
    if (args.type === "gcp:container/cluster:Cluster") {
        return (args.props.nodePools || []).map((p) => ({ what: `node pool "${p.name}"`, node: p.nodeConfig || {}, in: p }));
    }
    return [];
}

const accelerators = (p) => (p.node.guestAccelerators || []).filter((a) => a.count > 0);
const label = (p) => (p.node.labels || {})[role];
const isEngine = (p) => (label(p) ? label(p) === "engine" : accelerators(p).length > 0 || !!(machineOf(p.node) || {}).gpu);

function podGPUs(p) {
    const m = machineOf(p.node);
    let list = accelerators(p);
    if (list.length === 0 && m && m.gpu) {
        list = [m.gpu];
    }
    return list.filter((a) => gpus[a.type]).map((a) => {
        const sharing = a.gpuSharingConfig || {};
        const clients = sharing.gpuSharingStrategy ? Math.max(2, sharing.maxSharedClientsPerGpu || 0) : 1;
        const part = /^[0-9]+g\.([0-9]+)gb$/.exec(a.gpuPartitionSize || "");
        const memory = (part ? Number(part[1]) : gpus[a.type].memory) / clients;
        return { type: a.type, memory, capability: gpus[a.type].capability, divided: !!part || clients > 1 };
    });
}

function rule(name, description, chosen, judge) {
    return {
        name,
        description,
        enforcementLevel: "mandatory",
        validateResource: (args, report) => {
            for (const p of pools(args)) {
                if (chosen(p)) {
                    const found = judge(p, machineOf(p.node));
                    if (found) {
                        report(`${p.what}: ${found}`);
                    }
                }
            }
        },
    };
}

const size = (role, chosen, cores, memory) => [
    rule(`${role}-node-has-cores`, `Nodes of the ${role} must have at least ${cores} cores`, chosen,
        (p, m) => m && m.vcpus < cores && `${m.name} has ${m.vcpus} vCPUs; needed: ${cores}`),
    rule(`${role}-node-has-memory`, `Nodes of the ${role} must have at least ${memory} GB of memory`, chosen,
        (p, m) => m && m.memory < memory && `${m.name} has ${m.memory} GB; needed: ${memory} GB`),
];

new PolicyPack("deepgram-comparison", {
    policies: [
        rule("engine-gpu-is-present", "Nodes of an engine pool must have an NVIDIA GPU", isEngine,
            (p, m) => m && !m.gpu && accelerators(p).length === 0 && `${m.name} has no GPU`),
        rule("engine-gpu-has-memory", "Each GPU must have at least 16 GB of memory", isEngine,
            (p) => podGPUs(p).filter((g) => g.memory < 16).map((g) => `${g.type} has ${g.memory} GB`).join()),
        rule("engine-gpu-has-compute-capability", "Each GPU must have compute capability 7.0 or higher", isEngine,
            (p) => podGPUs(p).filter((g) => g.capability < 7).map((g) => `${g.type} has ${g.capability}`).join()),
        rule("engine-gpu-is-whole", "An engine needs whole GPUs", isEngine,
            (p) => podGPUs(p).filter((g) => g.divided).map((g) => `${g.type} is divided`).join()),
        rule("machine-type-is-known", "The machine type must be in the catalogue", () => true,
            (p, m) => !m && p.node.machineType && `${p.node.machineType} is not in the catalogue`),
        rule("gpu-suits-machine", "A GPU must be one that Google offers for the machine type", () => true,
            (p, m) => m && accelerators(p).some((a) => m.gpu && (m.gpu.type !== a.type || m.gpu.count !== a.count)) && `not offered with ${m.name}`),
        ...size("engine", isEngine, 4, 32),
        ...size("api", (p) => label(p) === "api", 2, 4),
        ...size("license-proxy", (p) => label(p) === "license-proxy", 1, 5),
        rule("engine-node-has-storage", "The boot disk of an engine node must have at least 48 GB", isEngine,
            (p) => (p.node.diskSizeGb === undefined ? 100 : p.node.diskSizeGb) < 48 && `its boot disk has ${p.node.diskSizeGb} GB`),
        rule("engine-node-is-x86", "Deepgram's images are for x86-64 only", isEngine,
            (p, m) => m && /^(t2a|c4a|n4a)-/.test(m.name) && `${m.name} is arm64`),
        rule("node-image-is-linux", "Node images must be Linux", () => true,
            (p) => /^WINDOWS/i.test(p.node.imageType || "") && `its image is ${p.node.imageType}`),
        rule("engine-node-image-is-cos", "Engine nodes should run Container-Optimized OS", isEngine,
            (p) => /^UBUNTU/i.test(p.node.imageType || "") && `its image is ${p.node.imageType}`),
    ],
});
