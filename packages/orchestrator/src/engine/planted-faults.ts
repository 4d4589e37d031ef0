import { open } from "node:fs/promises";
import { type FaultPoint, type Faults, noFaults } from "@baton/migration";
import { AppError } from "@baton/protocol";
import { sagas } from "../records/saga-tables.ts";

/** One fault in one kind of operation, for demonstrations and tests only. */
const pattern = /^(fail|kill|pause)@([a-z]+)\.([A-Za-z]+)(?::(before|after|undo))?$/;

/**
 * Plants `fail@migrate.STEP` (the step fails), `kill@migrate.STEP` (this process dies by SIGKILL) or `pause@migrate.STEP` (it
 * is stopped by SIGSTOP, until somebody continues it), by default after the step's effect and before it
 * is recorded; `:before` is before the effect, `:undo` after the effect of its undo.
 *
 * @param marker a file that makes the fault happen once, over restarts too. @throws `invalid-configuration`.
 */
export function plantFault(specification: string, marker: string): (kind: string) => Faults {
  const [, fault, saga = "", step, at] = pattern.exec(specification) ?? [];
  if (fault === undefined || !isKind(saga))
    throw new AppError(
      "invalid-configuration",
      `cannot plant "${specification}": it must be fail@migrate.STEP, kill@migrate.STEP or pause@migrate.STEP, or of another kind of operation`,
    );
  const steps = sagas[saga].steps.map(({ name }) => name);
  if (step === undefined || !steps.includes(step))
    throw new AppError(
      "invalid-configuration",
      `cannot plant "${specification}": the steps of ${saga} are ${steps.join(", ")}`,
    );
  const wanted: Pick<FaultPoint, "phase" | "moment"> =
    at === "undo"
      ? { phase: "undo", moment: "after" }
      : { phase: "do", moment: at === "before" ? "before" : "after" };
  const faults: Faults = {
    async reach(point) {
      if (point.step !== step || point.phase !== wanted.phase || point.moment !== wanted.moment) return;
      if (!(await firstTime(marker))) return;
      if (fault === "kill") process.kill(process.pid, "SIGKILL");
      if (fault === "pause") {
        process.kill(process.pid, "SIGSTOP");
        return;
      }
      throw new AppError("injected-fault", `cannot finish ${step}: a fault was planted here`);
    },
  };
  return (kind) => (kind === saga ? faults : noFaults);
}

const isKind = (name: string): name is keyof typeof sagas => Object.hasOwn(sagas, name);

async function firstTime(marker: string): Promise<boolean> {
  try {
    const file = await open(marker, "wx");
    await file.sync();
    await file.close();
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}
