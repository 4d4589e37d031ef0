import { AppError } from "@baton/protocol";
import type { MigratePorts } from "../ports.ts";

/**
 * What goes wrong with one call. `fails`: it has no effect; `answer-lost`: it has, but that is not heard; `late`: it is not heard of either,
 * and has its effect some calls later; `killed-before` and `killed-after`: the caller dies around the effect.
 */
export type PortFault =
  | { readonly kind: "fails" | "answer-lost" | "killed-before" | "killed-after" }
  | { readonly kind: "late"; readonly afterCalls: number };

export interface FaultyPorts {
  /** The ports for one life of the process. @param die told when a fault kills it; that call then hangs for ever. */
  open(die: () => void): MigratePorts;
  /** Lets everything arrive that is still under way. */
  deliverLate(): Promise<void>;
  /** The calls so far. */
  readonly calls: readonly string[];
}

const unheard = (what: string) => new AppError("agent-unreachable", `planted: ${what} was not answered`);

/**
 * Every call to a placement, the lease or the records may fail, get lost, arrive late, or be the last of its caller.
 *
 * @param meanwhile happens just before the call
 */
export function createFaultyPorts(
  ports: MigratePorts,
  faultAt: (call: number) => PortFault | undefined,
  meanwhile: (call: number) => Promise<void>,
): FaultyPorts {
  const calls: string[] = [];
  const late: { readonly due: number; readonly deliver: () => Promise<unknown> }[] = [];

  const deliver = async (upTo: number): Promise<void> => {
    for (const one of late.filter(({ due }) => due <= upTo)) {
      late.splice(late.indexOf(one), 1);
      await one.deliver().catch(() => undefined);
    }
  };

  const faulty = <T extends object>(port: T, name: string, die: () => void): T => {
    const call = async (what: string, work: () => Promise<unknown>): Promise<unknown> => {
      const dead = (): Promise<never> => {
        die();
        return new Promise(() => undefined);
      };
      const fault = faultAt(calls.push(what));
      await deliver(calls.length);
      await meanwhile(calls.length);
      switch (fault?.kind) {
        case undefined:
          return work();
        case "fails":
          throw unheard(what);
        case "late":
          late.push({ due: calls.length + fault.afterCalls, deliver: work });
          throw unheard(what);
        case "answer-lost":
          await work().catch(() => undefined);
          throw unheard(what);
        case "killed-before":
          return dead();
        case "killed-after":
          await work().catch(() => undefined);
          return dead();
      }
    };
    return new Proxy(port, {
      get(_, key) {
        const value: unknown = Reflect.get(port, key);
        if (typeof value !== "function") return value;
        const method = value as (...args: readonly unknown[]) => Promise<unknown>;
        return (...args: readonly unknown[]) => call(`${name}.${String(key)}`, () => method(...args));
      },
    });
  };

  return {
    calls,
    deliverLate: () => deliver(Infinity),
    open(die) {
      const { source, target, lease, records, clock, fence, replica, preflight } = ports;
      return {
        clock,
        source: faulty(source, "source", die),
        target: faulty(target, "target", die),
        lease: faulty(lease, "lease", die),
        records: faulty(records, "records", die),
        fence: fence === null ? null : faulty(fence, "fence", die),
        replica: replica === null ? null : faulty(replica, "replica", die),
        preflight: faulty(preflight, "preflight", die),
      };
    },
  };
}
