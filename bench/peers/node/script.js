// The smallest useful program: node script.js API_URL (see bench/lua/script.lua)
import { Daytona } from '@daytona/sdk'

const client = new Daytona({
  apiUrl: process.argv[2], apiKey: 'bench', target: 'local', useDeprecatedPolling: true,
})
const sandbox = await client.create({ language: 'python' })
const r = await sandbox.process.executeCommand('uname -a')
if (r.exitCode !== 0) throw new Error('exit code ' + r.exitCode)
await sandbox.delete()
