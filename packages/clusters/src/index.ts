export { canonicalJson } from "./canonical-json.ts";
export type { Cluster, ClusterCapabilities, ClusterRoom, PlacedAgent } from "./cluster.port.ts";
export type { PlacementSpec, Witness } from "./cluster.port.ts";
export { openProcessCluster } from "./process/process-cluster.ts";
export type { ProcessClusterOptions } from "./process/process-cluster.ts";
export { openContainerCluster } from "./container-engine/container-cluster.ts";
export type { ContainerClusterOptions } from "./container-engine/container-cluster.ts";
export { openKubeClient } from "./kubernetes/kube-client.ts";
export type { KubeAccess, KubeClient, KubeKind, KubeObject, KubeOwner } from "./kubernetes/kube-client.ts";
