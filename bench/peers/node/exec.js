// One command after the other: node exec.js API_URL N (see bench/lua/exec.lua)
import { Daytona } from '@daytona/sdk'

const [apiUrl, count] = process.argv.slice(2)
const client = new Daytona({ apiUrl, apiKey: 'bench', target: 'local', useDeprecatedPolling: true })
const sandbox = await client.get('bench')

async function run(n) {
  for (let i = 0; i < n; i++) {
    const r = await sandbox.process.executeCommand('uname -a')
    if (r.exitCode !== 0) throw new Error('exit code ' + r.exitCode)
  }
}

await run(50)
const wall = process.hrtime.bigint()
const cpu = process.cpuUsage()
await run(Number(count))
const used = process.cpuUsage(cpu)
console.log(JSON.stringify({
  cpu: (used.user + used.system) / 1e6,
  wall: Number(process.hrtime.bigint() - wall) / 1e9,
  n: Number(count),
}))
