import type { Command } from 'commander'
import type { Register } from '../command-context.ts'
import { UsageError } from '../failure.ts'

const shells = ['bash', 'zsh', 'fish'] as const

/** `sluice completion` */
export const registerCompletion: Register = (program, act) => {
  program
    .command('completion <shell>')
    .description(`print the completion script for ${shells.join(', ')}`)
    .action(
      act((context, [shell = '']) => {
        const words = wordsOf(program)
        context.output.result({ shell, script: scriptOf(shell, words) }, scriptOf(shell, words))
        return Promise.resolve()
      }),
    )
}

/** What may follow each command: `''` is the program itself, `topics` a command with subcommands. */
type Words = ReadonlyMap<string, readonly string[]>

function wordsOf(program: Command): Words {
  const words = new Map([['', [...names(program), ...flags(program)]]])
  for (const command of program.commands) {
    words.set(command.name(), [...names(command), ...flags(command)])
    for (const sub of command.commands) words.set(`${command.name()} ${sub.name()}`, flags(sub))
  }
  words.set('completion', [...shells])
  return words
}

function names(command: Command): string[] {
  return command.commands.map((sub) => sub.name())
}

function flags(command: Command): string[] {
  return command.options.flatMap(({ long }) => (typeof long === 'string' ? [long] : []))
}

function scriptOf(shell: string, words: Words): string {
  if (shell === 'bash') return bash(words)
  if (shell === 'zsh') return `#compdef sluice\nautoload -U +X bashcompinit && bashcompinit\n${bash(words)}`
  if (shell === 'fish') return fish(words)
  throw new UsageError(`there is no completion for "${shell}"; there is for ${shells.join(', ')}`)
}

function bash(words: Words): string {
  const cases = [...words].map(([path, following]) => `    "${path}") words="${following.join(' ')}" ;;`)
  return `_sluice() {
  local words path="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  while true; do
    case "$path" in
${cases.map((line) => `  ${line}`).join('\n')}
      *) path="\${path% *}"; continue ;;
    esac
    break
  done
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _sluice sluice`
}

function fish(words: Words): string {
  const lines = [...words].flatMap(([path, following]) => following.map((word) => fishLine(path, word)))
  return ['complete -c sluice -e', ...lines].join('\n')
}

function fishLine(path: string, word: string): string {
  const last = path.split(' ').at(-1) ?? ''
  const when = path === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${last}`
  const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`
  return `complete -c sluice -n '${when}' ${what}`
}
