const tickMs = 250;
/** A busy machine is late by less. */
const tolerableMs = 1_000;

/** Notices that this process stood still: a frozen container, a SIGSTOP. The clock of deadlines went on. */
export interface SuspensionMeter {
  /** How long it stood still since the last time that this was asked, in ms. */
  take(): number;
  close(): void;
}

export function meterSuspension(): SuspensionMeter {
  let lastAt = performance.now();
  let lostMs = 0;
  const tick = (): void => {
    const now = performance.now();
    const lateMs = now - lastAt - tickMs;
    if (lateMs > tolerableMs) lostMs += lateMs;
    lastAt = now;
  };
  const timer = setInterval(tick, tickMs).unref();
  return {
    take() {
      tick();
      const taken = lostMs;
      lostMs = 0;
      return taken;
    },
    close: () => clearInterval(timer),
  };
}
