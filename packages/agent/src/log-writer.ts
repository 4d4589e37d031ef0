import { constants, openSync, writeSync } from "node:fs";

/**
 * Writes lines to stderr without ever waiting for its reader. The application shares the agent's stderr, and libuv makes that description blocking
 * for it: a stalled log reader would stop the agent too. A description of our own says EAGAIN instead, and that line is dropped and counted.
 */
export function openLogWriter(): (line: string) => void {
  let descriptor: number;
  try {
    descriptor = openSync("/proc/self/fd/2", constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK);
  } catch {
    // A socket cannot be opened again; neither can it be made blocking by a child that writes to it.
    return (line) => void process.stderr.write(line);
  }
  let dropped = 0;
  return (line) => {
    try {
      if (dropped > 0) {
        writeSync(
          descriptor,
          `${JSON.stringify({ level: "warn", message: `${dropped} lines were dropped` })}\n`,
        );
        dropped = 0;
      }
      writeSync(descriptor, line);
    } catch {
      // EAGAIN: nobody reads. EPIPE: nobody ever will.
      dropped += 1;
    }
  };
}
