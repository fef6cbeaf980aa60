/** What is said to whoever asks for a path. */
export function greeting(path: string): string {
  const name = path.replace(/^\/+/, "");
  return name ? `hello, ${name}\n` : "hello\n";
}
