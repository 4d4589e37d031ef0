import { pino } from "pino";
import { startEmbeddedPostgres } from "./embedded-postgres.ts";

// Starts the server in argv[2], says so in one line of JSON, and lives until it is killed.
const directory = process.argv[2];
if (directory === undefined) throw new Error("usage: start.fixture.ts DIRECTORY");
const { url, attached } = await startEmbeddedPostgres({ directory, log: pino({ level: "silent" }) });
process.stdout.write(`${JSON.stringify({ url, attached })}\n`);
setInterval(() => {}, 60_000);
