-- The script that bin/daytona-lua gives to an interpreter.

os.exit(require("daytona.cli").run(arg), true)
