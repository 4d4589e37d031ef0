import type { Operation } from "@baton/protocol";
import { describeChange } from "./operation-events.ts";
import { renderOperation } from "./operation-lines.ts";
import { colored, plain } from "./text.ts";

export { renderLedger } from "./downtime-ledger.ts";

/** The part of a terminal or log that is written to; `process.stdout` is one. */
export interface ViewStream {
  write(text: string): unknown;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  /** Knows NO_COLOR and the terminal's kind. */
  hasColors?(): boolean;
}

export interface OperationView {
  /** Shows the record; a newer one replaces it. */
  update(operation: Operation): void;
  /** Shows the last record once more and leaves it there. Idempotent. */
  end(): void;
}

export interface OperationViewOptions {
  readonly stream: ViewStream;
  /** Draws again in place; else one line for each step that ends, without control sequences. */
  readonly interactive: boolean;
}

const frameMs = 100;
const defaultSize = { columns: 80, rows: 24 };

export function createOperationView({ stream, interactive }: OperationViewOptions): OperationView {
  return interactive ? createLiveView(stream) : createLogView(stream);
}

function createLogView(stream: ViewStream): OperationView {
  let shown: Operation | null = null;
  return {
    update(operation) {
      for (const line of describeChange(shown, operation)) stream.write(`${line}\n`);
      shown = operation;
    },
    end() {},
  };
}

function createLiveView(stream: ViewStream): OperationView {
  const paint = stream.hasColors?.() === true ? colored : plain;
  let operation: Operation | undefined;
  let timer: NodeJS.Timeout | undefined;
  let frame = 0;
  let drawn = 0;

  const draw = (last = false): void => {
    if (operation === undefined) return;
    const { columns = defaultSize.columns, rows = defaultSize.rows } = stream;
    const lines = renderOperation(operation, { width: columns, now: Date.now(), frame, paint });
    // What has scrolled off the top cannot be drawn again: until the last frame only as many lines as the terminal has.
    const visible = last ? lines : lines.slice(-Math.max(1, rows - 1));
    stream.write(redraw(visible, drawn));
    drawn = visible.length;
  };
  return {
    update(next) {
      operation = next;
      draw();
      timer ??= setInterval(() => {
        frame += 1;
        draw();
      }, frameMs).unref();
    },
    end() {
      if (timer === undefined) return;
      clearInterval(timer);
      timer = undefined;
      draw(true);
      operation = undefined;
      drawn = 0;
    },
  };
}

/** One write a frame: back to the first line, each line cleared as it is written, what is below erased; no wrapping of wide characters. */
function redraw(lines: readonly string[], drawn: number): string {
  const back = drawn === 0 ? "" : `\x1b[${drawn}A`;
  return `\x1b[?7l${back}\r${lines.map((line) => `\x1b[2K${line}\n`).join("")}\x1b[0J\x1b[?7h`;
}
