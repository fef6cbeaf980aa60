/** What is said to whoever asks for a path. */
export function greeting(path) {
  const name = path.replace(/^\/+/, "");
  return name ? `hello, ${name}\n` : "hello\n";
}
