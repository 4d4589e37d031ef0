import { statSync } from "node:fs";

/* Fails when a bundle is larger than it may be: `node bundle-size.ts FILE LIMIT_KB`, in units of 1000 bytes. */
const [file, limit] = process.argv.slice(2);
const limitKb = Number(limit);
if (file === undefined || !(limitKb > 0)) throw new Error("cannot check a bundle: give FILE and LIMIT_KB");

const sizeKb = statSync(file).size / 1000;
console.log(`${file}: ${sizeKb.toFixed(1)} kB of at most ${limitKb} kB`);
if (sizeKb > limitKb) process.exit(1);
