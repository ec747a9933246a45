/**
 * The WordPiece tokenizer of BERT and most sentence-transformers models, as a tokenizer.json describes it. Other kinds are refused by
 * name: a text that is cut into other pieces than the model was trained on would give vectors that mean nothing.
 */
import { Fault } from "../../core/fault.ts"
import { tokenizerFile } from "../../../schema/search.ts"

export interface Tokenizer {
  /** Ids with the marks of beginning and end, at most `maxTokens` of them. */
  encode(text: string, maxTokens: number): number[]
  readonly padding: number
}

/** Throws `Fault("unsupported")` for other tokenizers, `Fault("invalid")` for what is none. */
export function readTokenizer(json: string): Tokenizer {
  const file = tokenizerFile.safeParse(parsed(json)).data
  if (file === undefined) throw new Fault("invalid", "tokenizer.json is no tokenizer")
  const { model, normalizer, pre_tokenizer: split } = file
  if (model.type !== "WordPiece")
    throw new Fault(
      "unsupported",
      `the model's tokenizer is of type ${model.type ?? "unknown"}, only WordPiece is known`,
    )
  if (split?.type !== "BertPreTokenizer" || (normalizer != null && normalizer.type !== "BertNormalizer"))
    throw new Fault("unsupported", "the model's tokenizer does not split words as BERT does")
  const vocabulary = new Map(Object.entries(model.vocab))
  const idOf = (token: string): number => {
    const id = vocabulary.get(token)
    if (id === undefined) throw new Fault("invalid", `tokenizer.json has no token ${token}`)
    return id
  }
  const [begin, end, unknown] = [idOf("[CLS]"), idOf("[SEP]"), idOf(model.unk_token)]
  const options = {
    isLower: normalizer?.lowercase ?? false,
    // As in the original: left open, accents go when case does.
    isStripped: normalizer?.strip_accents ?? normalizer?.lowercase ?? false,
  }
  const pieces = (word: string): readonly number[] =>
    piecesOf(word, vocabulary, model.continuing_subword_prefix, model.max_input_chars_per_word) ?? [unknown]
  return {
    padding: vocabulary.get("[PAD]") ?? 0,
    encode(text, maxTokens) {
      const ids = [begin]
      for (const word of wordsOf(text, options)) {
        ids.push(...pieces(word))
        if (ids.length >= maxTokens) break
      }
      return [...ids.slice(0, maxTokens - 1), end]
    },
  }
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new Fault("invalid", "tokenizer.json is no JSON", { cause })
  }
}

/** Words and single marks; each Chinese character is a word. */
function* wordsOf(
  text: string,
  { isLower, isStripped }: { isLower: boolean; isStripped: boolean },
): Generator<string> {
  let clean = text.replace(/[\p{Cc}\p{Cf}\ufffd]/gu, (control) => (/\s/.test(control) ? " " : ""))
  if (isLower) clean = clean.toLowerCase()
  if (isStripped) clean = clean.normalize("NFD").replace(/\p{Mn}/gu, "")
  // BERT takes all of ASCII that is no letter, digit or space for marks, also those that Unicode calls symbols.
  for (const [word] of clean.matchAll(
    /[\p{P}!-/:-@[-`{-~]|[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff]|[^\s\p{P}!-/:-@[-`{-~\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff]+/gu,
  ))
    yield word
}

/** The longest pieces that are in the vocabulary, from the left; undefined if it can't be made of them. */
function piecesOf(
  word: string,
  vocabulary: ReadonlyMap<string, number>,
  prefix: string,
  longest: number,
): number[] | undefined {
  const symbols = Array.from(word)
  if (symbols.length > longest) return undefined
  const ids: number[] = []
  for (let start = 0; start < symbols.length;) {
    let end = symbols.length
    let id: number | undefined
    for (; end > start; end--) {
      id = vocabulary.get((start > 0 ? prefix : "") + symbols.slice(start, end).join(""))
      if (id !== undefined) break
    }
    if (id === undefined) return undefined
    ids.push(id)
    start = end
  }
  return ids
}
