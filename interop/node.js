// A Node that is new enough for what asks for one: this one, or the one of the npm package.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const installed = 'conformance/node_modules/.bin/node'

// Path of a Node of at least this major version; undefined without.
export function nodeOf(major) {
  if (Number(process.versions.node.split('.')[0]) >= major) return process.execPath
  if (!existsSync(installed)) return undefined
  const said = spawnSync(installed, ['--version'], { encoding: 'utf8' })
  return said.status === 0 && Number(said.stdout.slice(1).split('.')[0]) >= major ? installed : undefined
}
