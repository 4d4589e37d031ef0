import { defineConfig } from "vitest/config";
import { PartsReporter } from "./test/reporter/parts-reporter.ts";

const tests = (suffix: string): string[] =>
  ["packages/*/src", "examples/*/src", "test"].map((folder) => `${folder}/**/*${suffix}`);

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    hookTimeout: 30_000,
    setupFiles: ["./test/reporter/leak-guard.ts"],
    reporters: ["default", "hanging-process", new PartsReporter()],
    coverage: {
      provider: "v8",
      // Where a line that no test reaches fails the gate; their own tests must do, so the gate runs no others.
      include: ["packages/migration/src/**/*.ts", "packages/storage/src/lease*.ts"],
      exclude: ["**/*.test.ts", "**/*.testsuite.ts", "**/testing.ts", "**/fixtures/**"],
      reporter: ["text-summary", "json-summary", "html"],
      thresholds: {
        "packages/migration/src/**": { 100: true },
        "packages/storage/src/lease*.ts": { 100: true },
      },
    },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: tests(".test.ts"),
          exclude: ["**/node_modules/**", "**/dist/**", ...tests(".e2e.test.ts")],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: tests(".e2e.test.ts"),
          testTimeout: 180_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
