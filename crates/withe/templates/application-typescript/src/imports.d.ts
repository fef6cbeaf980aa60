// The types of what `front` imports, as `wit/world.wit` has it.

declare module "example:{{name}}/counter" {
  /** Counts something, and says how often it was counted. Throws an error with a text as its `payload`. */
  export function count(what: string): bigint;
}
