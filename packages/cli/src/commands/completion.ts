import { Argument } from 'commander'
import type { Command } from 'commander'
import type { Register } from '../command-context.ts'

const shells = ['bash', 'zsh', 'fish'] as const

/** `sluice completion` */
export const registerCompletion: Register = (program, act) => {
  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'whose script').choices(shells))
    .description(`print the completion script for ${shells.join(', ')}`)
    .action(
      act((context, [shell = '']) => {
        const script = scriptOf(shell, vocabularyOf(program))
        context.output.result({ shell, script }, script)
        return Promise.resolve()
      }),
    )
}

/** What may follow each command: `''` is the program itself, `topics` a command with subcommands. */
type Words = ReadonlyMap<string, readonly string[]>

/** What the scripts are made of. */
interface Vocabulary {
  readonly words: Words
  /** Options that a value follows. */
  readonly taking: readonly string[]
}

function vocabularyOf(program: Command): Vocabulary {
  const everywhere = [...flags(program), '--help']
  const words = new Map([['', [...names(program), 'help', ...everywhere]]])
  for (const command of program.commands) {
    words.set(command.name(), [...names(command), ...choices(command), ...flags(command), ...everywhere])
    for (const sub of command.commands)
      words.set(`${command.name()} ${sub.name()}`, [...choices(sub), ...flags(sub), ...everywhere])
  }
  words.set('help', names(program))
  const all = [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]
  const options = all.flatMap(({ options }) => options).filter(({ required, optional }) => required || optional)
  const taking = options.flatMap(({ short, long }) => [short, long].filter((name) => name !== undefined))
  return { words, taking: [...new Set(taking)] }
}

function names(command: Command): string[] {
  return command.commands.map((sub) => sub.name())
}

function flags(command: Command): string[] {
  return command.options.flatMap(({ long }) => (typeof long === 'string' ? [long] : []))
}

/** What the arguments of a command may be, where they are one of a few. */
function choices(command: Command): string[] {
  return command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? [])
}

function scriptOf(shell: string, vocabulary: Vocabulary): string {
  if (shell === 'bash') return bash(vocabulary)
  if (shell === 'zsh') return `#compdef sluice\nautoload -U +X bashcompinit && bashcompinit\n${bash(vocabulary)}`
  return fish(vocabulary)
}

/** Words that are no commands are arguments, and what follows an option that takes a value is that value. */
function bash({ words, taking }: Vocabulary): string {
  const paths = [...words.keys()].filter((path) => path !== '')
  const cases = [...words].map(([path, following]) => `    "${path}") offered="${following.join(' ')}" ;;`)
  return `_sluice() {
  local offered="" path="" value="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [ -n "$value" ]; then value=""; continue; fi
    case "$word" in
      -*) case " ${taking.join(' ')} " in *" $word "*) value=1 ;; esac ;;
      *) case "|${paths.join('|')}|" in *"|\${path:+$path }$word|"*) path="\${path:+$path }$word" ;; esac ;;
    esac
  done
  COMPREPLY=()
  if [ -n "$value" ]; then return; fi
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$offered" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _sluice sluice`
}

function fish({ words }: Vocabulary): string {
  const lines = [...words].flatMap(([path, following]) => following.map((word) => fishLine(path, word)))
  return ['complete -c sluice -e', ...lines].join('\n')
}

function fishLine(path: string, word: string): string {
  const seen = path.split(' ').map((part) => `__fish_seen_subcommand_from ${part}`)
  const when = path === '' ? '__fish_use_subcommand' : seen.join('; and ')
  const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`
  return `complete -c sluice -n '${when}' ${what}`
}
