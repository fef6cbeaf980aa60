// The component. Its functions are called by others, so it has nothing to do when it begins.
package main

import _ "example/{{name}}/front/component/exports/wit_exports"

func main() {}
