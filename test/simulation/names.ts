/** Of the one application that all of this is about. */
export const application = "ledger";
export const owner = "installation/ledger";
export const prefix = "ledger/";

/** What is only told to people has one date, so that the same seed gives the same bytes. */
export const moment = "2026-01-01T00:00:00.000Z";

export const sites = ["harbor", "island"] as const;

/** Where a process is: "agent 1 on harbor" → "harbor". */
export const siteOf = (machine: string): string => machine.split(" on ").at(-1) ?? machine;

export const placementId = (number: number): string => `pl-${String(number).padStart(20, "0")}`;
export const operationId = (number: number): string => `op-${String(number).padStart(20, "0")}`;
