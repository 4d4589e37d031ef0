import { resolve } from "node:path";
import { AppError, type Manifest, isAppError, manifestSchemas, parseAs } from "@baton/protocol";
import { type Document, type ParsedNode, isScalar, parseAllDocuments } from "yaml";

/** A manifest file as it was read. `directory` is what its relative paths are relative to. */
export interface ManifestFile {
  readonly name: string;
  readonly directory: string;
  readonly text: string;
}

type Kind = Manifest["kind"];
const kinds = Object.keys(manifestSchemas) as readonly Kind[];
/** Fields that hold a path; "*" stands for every key, or every item. */
const pathFields: Readonly<Record<Kind, readonly (readonly string[])[]>> = {
  cluster: [
    ["directory"],
    ["agent"],
    ["tls", "ca"],
    ["tls", "certificate"],
    ["tls", "key"],
    ["registries", "*", "credentials", "file"],
  ],
  storage: [
    ["credentials", "control", "file"],
    ["credentials", "data", "file"],
    ["credentials", "dataByCluster", "*", "file"],
    ["fence", "admin", "file"],
  ],
  database: [["admin", "file"]],
  application: [
    ["workload", "workingDirectory"],
    ["traffic", "*", "secret", "file"],
    ["traffic", "*", "key", "file"],
  ],
};

/**
 * All manifests of the files in the order in which they are applied: clusters, storages, databases, applications.
 *
 * @throws one AppError `invalid-manifest` about every document that is wrong, with file, number (from 1) and fields.
 */
export function parseManifests(files: readonly ManifestFile[]): readonly Manifest[] {
  const problems: string[] = [];
  const manifests: Manifest[] = [];
  for (const file of files) {
    const documents = documentsOf(file);
    if (documents.length === 0) problems.push(`cannot read ${file.name}: there is no manifest in it`);
    for (const { document, number } of documents) {
      try {
        manifests.push(parseDocument(document, file, `${file.name}, document ${number}`));
      } catch (error) {
        if (!isAppError(error)) throw error;
        problems.push(error.message);
      }
    }
  }
  if (problems.length > 0) throw new AppError("invalid-manifest", problems.join("; "));
  return manifests.toSorted((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind));
}

type YamlDocument = Document.Parsed<ParsedNode>;

/** Documents without content, as between a leading and a second "---", are left out but counted. */
function documentsOf({ text }: ManifestFile): readonly { document: YamlDocument; number: number }[] {
  return [...parseAllDocuments<ParsedNode>(text)]
    .map((document, index) => ({ document, number: index + 1 }))
    .filter(({ document }) => !isEmpty(document));
}

function isEmpty({ contents, errors }: YamlDocument): boolean {
  return errors.length === 0 && (contents === null || (isScalar(contents) && contents.value === null));
}

function parseDocument(document: YamlDocument, { directory }: ManifestFile, place: string): Manifest {
  const value = contentOf(document, place);
  const kind = isRecord(value) ? kinds.find((known) => known === value["kind"]) : undefined;
  if (!isRecord(value) || kind === undefined) {
    const given =
      isRecord(value) && "kind" in value ? `unknown kind ${JSON.stringify(value["kind"])}` : "no kind";
    throw new AppError("invalid-manifest", `cannot read ${place}: ${given} (allowed: ${kinds.join(", ")})`);
  }
  let resolved: unknown = value;
  for (const path of pathFields[kind]) resolved = resolveAt(resolved, path, directory);
  const name = typeof value["name"] === "string" ? ` "${value["name"]}"` : "";
  return parseAs(manifestSchemas[kind], resolved, `${place} (${kind}${name})`, "invalid-manifest");
}

function contentOf(document: YamlDocument, place: string): unknown {
  const [error] = document.errors;
  const refuse = (why: string, cause: unknown): AppError =>
    new AppError("invalid-manifest", `cannot read ${place}: it is not YAML: ${why}`, { cause });
  // The rest of the message is a drawing of the place, over several lines.
  if (error !== undefined) throw refuse(error.message.split("\n")[0]?.replace(/:$/, "") ?? "", error);
  try {
    return document.toJS();
  } catch (cause) {
    // Aliases that lead nowhere, or that would grow without bounds.
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** A copy in which the string at `path`, if there is one, is an absolute path. */
function resolveAt(value: unknown, [head, ...rest]: readonly string[], directory: string): unknown {
  if (head === undefined)
    return typeof value === "string" && value !== "" ? resolve(directory, value) : value;
  if (Array.isArray(value) && head === "*") return value.map((item) => resolveAt(item, rest, directory));
  if (!isRecord(value)) return value;
  const isOnPath = (key: string): boolean => head === "*" || key === head;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      isOnPath(key) ? resolveAt(item, rest, directory) : item,
    ]),
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
