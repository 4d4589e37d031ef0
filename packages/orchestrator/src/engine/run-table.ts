import { type DeployInput, type RunSagaParams, type SagaEnd, runSaga } from "@baton/migration";
import { AppError } from "@baton/protocol";
import type { OperationPorts } from "../ports/operation-ports.ts";
import { tables } from "../records/saga-tables.ts";

type Common = Omit<RunSagaParams<DeployInput, unknown>, "saga" | "ports">;

/** Runs the operation by the table that it began with. */
export async function runTable(
  { saga: name, deployPorts, sourcePorts, migratePorts }: OperationPorts,
  common: Common,
): Promise<SagaEnd> {
  const named = <Table extends { readonly name: string }>(some: readonly Table[]): Table | undefined =>
    some.find((table) => table.name === name);
  const onTarget = named(tables.onTarget);
  if (onTarget !== undefined) return runSaga({ saga: onTarget, ports: deployPorts(), ...common });
  const onSource = named(tables.onSource);
  if (onSource !== undefined) return runSaga({ saga: onSource, ports: sourcePorts(), ...common });
  const onBoth = named(tables.onBoth);
  if (onBoth !== undefined) return runSaga({ saga: onBoth, ports: migratePorts(), ...common });
  throw new AppError("saga-unknown", `cannot run ${common.operation}: nothing here runs ${name}`);
}
