import type { PlacementPort, VerifiedReceipt } from "@baton/migration";
import {
  type AgentOperation,
  type AgentStatus,
  AppError,
  type Command,
  type Receipt,
  fromProblem,
  isAppError,
} from "@baton/protocol";
import type { Machine } from "@baton/storage/simulation";
import type { Agent, Order } from "./agent-records.ts";
import type { Asking } from "./asking.ts";
import type { Site } from "./site.ts";

const answerMs = 10_000;
const pollMs = 20_000;
const clusterMs = 10_000;

/** Stands for `placement-port.ts` of the orchestrator and the hook client's `agent-client.ts`: the direct way to an agent and its cluster. */
export function createPlacementPort(params: {
  readonly machine: Machine;
  readonly site: Site;
  readonly placement: string;
  readonly operation: string;
  readonly term: number;
  readonly asking: Asking;
  readonly newNonce: () => string;
}): PlacementPort {
  const { machine, site, placement, operation, term, asking, newNonce } = params;
  const { clock } = machine;

  const cluster = async <T>(what: string, work: () => T): Promise<T> => {
    const answer = await asking(machine, site.api, what, clusterMs, async () => work());
    if (answer === null) throw new AppError("cluster-unavailable", `cannot ${what}: ${site.name} is silent`);
    return answer.value;
  };
  const once = async <T>(what: string, ms: number, work: (agent: Agent) => Promise<T>): Promise<T> => {
    const there = site.find(placement);
    if (there === null) throw new AppError("unknown-placement", `cannot ${what}: there is no ${placement}`);
    const answer = await asking(machine, there.machine, what, ms, async () => {
      const { agent } = there;
      return agent === null ? new Promise<never>(() => {}) : work(agent);
    });
    if (answer === null) throw new AppError("agent-unreachable", `cannot ${what}: ${placement} is silent`);
    return answer.value;
  };
  const call = async <T>(
    what: string,
    signal: AbortSignal,
    work: (agent: Agent) => Promise<T>,
    ms = answerMs,
  ): Promise<T> => {
    try {
      return await once(what, ms, work);
    } catch (error) {
      if (!isAppError(error) || error.code !== "agent-unreachable" || signal.aborted) throw error;
      // It may have started again meanwhile.
      return once(what, ms, work);
    }
  };
  const send = <T extends AgentOperation | AgentStatus>(
    command: Command,
    epoch: number,
    signal: AbortSignal,
  ): Promise<T> =>
    call(command.kind, signal, (agent) => {
      const order: Order = { command, epoch, term, nonce: newNonce() };
      return agent.order(order) as Promise<T>;
    });
  const ended = async (key: string, waitMs: number, signal: AbortSignal): Promise<AgentOperation | null> => {
    for (const endMs = clock.nowMs() + waitMs; ;) {
      const left = Math.max(0, endMs - clock.nowMs());
      const wait = Math.min(left, pollMs);
      const seen = await call("operation", signal, (agent) => agent.operation(key, wait), wait + answerMs);
      if (seen.state !== "open") return seen;
      if (left === 0) return null;
      if (signal.aborted) throw signal.reason;
    }
  };
  const verified = (jws: string): VerifiedReceipt => ({ jws, receipt: JSON.parse(jws) as Receipt });

  return {
    placement,
    cluster: site.name,
    async place(signal) {
      await cluster("place", () => void site.place(placement));
      return send({ kind: "read" }, 0, signal);
    },
    status: (signal) => send({ kind: "read" }, 0, signal),
    witness: () => cluster("witness", () => site.witness(placement)),
    remove: () => cluster("remove", () => site.remove(placement)),
    async stop({ epoch, ...command }, signal) {
      await send({ kind: "stop", operation, ...command }, epoch, signal);
    },
    async receipt({ key, waitMs }, signal) {
      try {
        const seen = await ended(key, waitMs, signal);
        if (seen?.state === "failed") throw fromProblem(seen.problem);
        return seen?.state === "receipt" ? verified(seen.receipt) : null;
      } catch (error) {
        if (isAppError(error) && error.code === "not-found") return null;
        throw error;
      }
    },
    verifyReceipt: async (jws) => verified(jws),
    async start({ epoch, ...command }, signal) {
      const body = { kind: "start", operation, ...command, bodySha256: "" } as const;
      const first = await send<AgentOperation>(body, epoch, signal);
      const { key, deadlineMs } = command;
      const seen = first.state === "open" ? await ended(key, deadlineMs + answerMs, signal) : first;
      if (seen?.state === "failed") throw fromProblem(seen.problem);
      if (seen?.state !== "started")
        throw new AppError("application-not-ready", `cannot start ${placement}: it is not ready`);
      return seen.result;
    },
    async burn({ epoch, ...command }, signal) {
      const first = await send<AgentOperation>({ kind: "burn", operation, ...command }, epoch, signal);
      const seen = first.state === "open" ? await ended(command.key, answerMs, signal) : first;
      if (seen?.state === "failed") throw fromProblem(seen.problem);
      if (seen?.state !== "receipt")
        throw new AppError("agent-failed", `cannot burn the grant of ${placement}: no receipt`);
      return verified(seen.receipt);
    },
    withdraw: ({ epoch, key }, signal) => send({ kind: "withdraw", operation, key }, epoch, signal),
    async open({ epoch, run }, signal) {
      await send({ kind: "open", operation, run }, epoch, signal);
    },
    async verify({ verify: { timeoutMs } }) {
      const there = site.find(placement);
      const answer =
        there === null
          ? null
          : await asking(machine, there.machine, "canary", timeoutMs, async () => {
              const last = there.runs.at(-1);
              return last?.canary() ?? false;
            });
      if (answer?.value !== true)
        throw new AppError("application-not-ready", "cannot verify the target: the canary was not answered");
    },
  };
}
