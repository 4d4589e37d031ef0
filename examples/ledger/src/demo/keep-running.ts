import { setTimeout as delay } from "node:timers/promises";
import type { Child } from "./child.ts";

const failuresInARow = 5;
const afterFailureMs = 500;

/** A program that is there again after whatever happened to it. */
export interface KeptProgram {
  /** Of the process that was started last; it may be dead. */
  pid(): number;
  /** Stops it in order (or by SIGKILL), also one that is just starting. Idempotent. */
  stop(isKilled?: boolean): Promise<void>;
}

export interface KeepRunningParams {
  readonly start: () => Promise<Child>;
  /** Told every end that nobody asked for, before the next start. */
  readonly onEnd?: ((signal: NodeJS.Signals | null) => void) | undefined;
  /** How long it stays away. */
  readonly pauseMs?: (() => number) | undefined;
}

/** Keeps it running as a service manager would: killed or failed, it is started again; an end in order is final. @throws where it never started. */
export async function keepRunning({
  start,
  onEnd,
  pauseMs = () => 0,
}: KeepRunningParams): Promise<KeptProgram> {
  const stopping = new AbortController();
  let child = await start();
  const keep = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const { code, signal } = await child.ended;
      if (stopping.signal.aborted || code === 0) return;
      onEnd?.(signal);
      await delay(pauseMs(), undefined, { signal: stopping.signal });
      child = await startAgain();
    }
  };
  const startAgain = async (): Promise<Child> => {
    for (let failures = 0; ;) {
      try {
        return await start();
      } catch (error) {
        failures += 1;
        if (failures === failuresInARow) throw error;
        await delay(afterFailureMs, undefined, { signal: stopping.signal });
      }
    }
  };
  // One that cannot be started again is missed by its clients, who say so.
  const running = keep().catch(() => undefined);
  return {
    pid: () => child.process.pid ?? 0,
    async stop(isKilled = false) {
      stopping.abort();
      if (isKilled) child.process.kill("SIGKILL");
      await child.stop();
      // It may have been killed a moment ago: then the next one is just starting.
      await running;
      await child.stop();
    },
  };
}
