import type { ReplicaPort } from "../ports.ts";

/** Source and target at endpoints of which each hears of the other's writes only when that is waited for. */
export function createFakeReplica(source: string) {
  let lastWriter: string | null = null;
  const behind: string[] = [];
  const waits: string[] = [];
  const port: ReplicaPort = {
    waitUntilEqual: async (writer) => {
      waits.push(writer);
      lastWriter = null;
      return {
        written: writer,
        replica: writer === "source" ? "target" : "source",
        inventory: { objects: 1, bytes: 1, digest: "" },
        looks: 1,
        waitedMs: 0,
        equalAt: "",
      };
    },
  };
  return {
    port,
    /** Who had written, for each wait. */
    waits: waits as readonly string[],
    /** Who started without what the other had written. */
    behind: behind as readonly string[],
    /** An application writes as soon as it runs. */
    begin: (placement: string): void => {
      if (lastWriter !== null && lastWriter !== placement)
        behind.push(placement === source ? "source" : "target");
      lastWriter = placement;
    },
  };
}
