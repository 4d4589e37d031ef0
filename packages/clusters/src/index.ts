export type { Cluster, ClusterCapabilities, PlacedAgent, PlacementSpec, Witness } from "./cluster.port.ts";
export { openProcessCluster } from "./process/process-cluster.ts";
export type { ProcessClusterOptions } from "./process/process-cluster.ts";
