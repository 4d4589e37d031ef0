import { AppError } from "@baton/protocol";
import { type Clock, systemClock } from "../clock.ts";
import type { RoleAdmin, RoleIssuer } from "./role-admin.port.ts";

const tryTimeoutMs = 5_000;
const betweenTriesMs = 50;

/**
 * Before a role is made: every role of an earlier epoch of the same application is shut out, and none of its sessions is left. Whoever held it is known to be gone, but a
 * server goes on with what it was sent by somebody who has exited since. Later epochs are left alone: who is late must not end what came after it.
 *
 * @throws AppError `fence-unproven` when sessions are left until the deadline; what `RoleAdmin` throws.
 */
export async function shutOutOlder(params: {
  readonly admin: Pick<RoleAdmin, "disable" | "endSessions"> & Pick<RoleIssuer, "older">;
  /** What the names of the application's roles begin with; the epoch follows their last "-". */
  readonly prefix: string;
  readonly epoch: number;
  readonly deadlineMs: number;
  readonly clock?: Clock | undefined;
}): Promise<void> {
  const { admin, prefix, epoch, deadlineMs, clock = systemClock } = params;
  const endsAt = clock.nowMs() + deadlineMs;
  const timeoutMs = (): number => Math.max(1, Math.min(tryTimeoutMs, endsAt - clock.nowMs()));
  for (;;) {
    const older = await admin.older({ prefix, epoch, timeoutMs: timeoutMs() });
    if (older.length === 0) return;
    if (clock.nowMs() >= endsAt)
      throw new AppError(
        "fence-unproven",
        `cannot shut out what wrote before: sessions of ${older.join(", ")} do not end; nothing is started until they have`,
      );
    for (const role of older) {
      await admin.disable({ role, timeoutMs: timeoutMs() });
      await admin.endSessions({ role, timeoutMs: timeoutMs() });
    }
    await clock.sleep(betweenTriesMs);
  }
}
