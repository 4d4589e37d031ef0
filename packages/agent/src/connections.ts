import type { Application } from "./application.ts";

/** Established connections to the tree's listening ports. @throws when it cannot be known */
export async function countConnections(_application: Application): Promise<number> {
  throw new Error("connections cannot be counted");
}
