import type { AgentConfig, AttachTarget } from "@baton/protocol";
import type { Executor } from "../executor.port.ts";
import { createGateExecutor } from "./gate-executor.ts";
import { createObserver } from "./observer.ts";

export const createAttachExecutor = async (params: {
  readonly config: AgentConfig;
  readonly attach: AttachTarget;
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly bootId: string;
}): Promise<Executor> => {
  const { attach, ...shared } = params;
  return attach.by === "gate"
    ? createGateExecutor({ ...shared, directory: attach.directory })
    : createObserver({ target: attach, bootId: shared.bootId });
};
