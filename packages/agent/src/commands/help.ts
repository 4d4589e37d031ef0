import { options, variableOf } from "../options.ts";

/** Every option on a line, with its variable. */
export function optionsInWords(): string {
  const width = Math.max(...options.map(({ flag }) => flag.length)) + 4;
  const lines = options.map((option) => `  ${`--${option.flag}`.padEnd(width)}${option.help}`);
  const [example] = options;
  const variable = example === undefined ? "" : variableOf(example);
  return `${lines.join("\n")}\n\n  ${"--config FILE".padEnd(width)}JSON; flags win over variables (${variable}, …), variables over the file\n`;
}
