// The official TypeScript SDK, and the Python one, do their daily work against the local server:
// DAYTONA_API_URL and DAYTONA_API_KEY say where. Whatever it complains about is
// a defect of the server. One file a noun; what TypeScript does happens in one sandbox.
// Arguments are the parts to run; without, all of them.
// Ends with the line "N passed, N failed[, N skipped]".
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Daytona } from '@daytona/sdk'
import access from './access.js'
import acp from './acp.js'
import conformance from './conformance.js'
import files from './files.js'
import git from './git.js'
import inspector from './inspector.js'
import interpreter from './interpreter.js'
import lsp from './lsp.js'
import machine from './machine.js'
import mcp from './mcp.js'
import plane from './plane.js'
import processes from './process.js'
import pty from './pty.js'
import pythonSdk from './python.js'
import { serveRepository } from './repository.js'
import { begin, end, strangers } from './sandbox.js'
import session from './session.js'
import store from './store.js'
import { summary } from './steps.js'

const scratch = mkdtempSync(join(tmpdir(), 'interop-'))
const repository = await serveRepository(scratch)
const client = new Daytona()

async function sdk() {
  const sandbox = await begin(client)
  if (sandbox) {
    for (const noun of [processes, session, pty, interpreter, files, git, lsp, machine, access]) {
      await noun(sandbox, { scratch, repository: repository.url, client })
    }
    await end(client, sandbox)
  }
  await strangers()
}

const parts = { sdk, plane, python: pythonSdk, store, mcp, inspector, conformance, acp }
const wanted = process.argv.slice(2)
for (const [name, part] of Object.entries(parts)) {
  if (!wanted.length || wanted.includes(name)) await part(scratch, client)
}

repository.close()
rmSync(scratch, { recursive: true })
process.exit(summary() ? 0 : 1)
