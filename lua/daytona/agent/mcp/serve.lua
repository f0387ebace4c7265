-- The script that bin/daytona-mcp gives to an interpreter.

os.exit(require("daytona.agent.mcp.main").run(arg), true)
