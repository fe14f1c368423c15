"""Machine translation that went wrong, made from right translations: each kind in several forms.

Of the phrases of refusals and chatter, the rules were written with a look at those with an even index; those with an odd index are held
out.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlctl.core.unicode_scripts import has_unspaced


class Right(NamedTuple):
    """A text, its right translation, and what a fault is made with."""

    text: str
    output: str
    language: str
    letters: str  # of the language's alphabet
    words: Sequence[str]  # of other languages
    rng: random.Random


Spoil = Callable[[Right], str]

REFUSALS = (
    "I'm sorry, but I can't help with translating this text.",
    "I apologize, but I am unable to translate this sentence.",
    "I cannot fulfill this request.",
    "Sorry, I can't assist with that request.",
    "As an AI language model, I do not have the ability to translate this.",
    "As a language model, I am not able to translate content of this kind.",
    "Could you please provide the text that you would like me to translate?",
    "Please provide the sentence you want translated.",
    "I'm not able to translate this because it may contain harmful content.",
    "Unfortunately, I am not able to produce a translation for this.",
    "It seems that no text was provided. What would you like me to translate?",
    "It looks like your message is incomplete. Can you share the full text?",
    "I don't have enough context to translate this sentence.",
    "I do not understand the text, so I can't translate it.",
    "I won't be able to translate this content, as it violates the policy.",
    "Sorry, but I am not comfortable translating this.",
    "I'm an AI assistant and can only help with other questions.",
    "My apologies, this language is not supported.",
    "I am unable to provide a translation of copyrighted material.",
    "I must decline to translate this passage.",
)  # fmt: skip
# In the target language, by an assistant that refuses (even index: looked at, odd: held out).
REFUSALS_IN: dict[str, tuple[str, str]] = {
    "de": ("Es tut mir leid, aber ich kann diesen Text nicht übersetzen.", "Leider bin ich nicht in der Lage, diesen Satz zu übersetzen."),
    "fr": ("Je suis désolé, mais je ne peux pas traduire ce texte.", "Malheureusement, je ne suis pas en mesure de traduire cette phrase."),
    "es": ("Lo siento, pero no puedo traducir este texto.", "Lamentablemente, no me es posible traducir esta frase."),
    "pt": ("Desculpe, mas não posso traduzir este texto.", "Infelizmente, não sou capaz de traduzir esta frase."),
    "it": ("Mi dispiace, ma non posso tradurre questo testo.", "Purtroppo non sono in grado di tradurre questa frase."),
    "nl": ("Het spijt me, maar ik kan deze tekst niet vertalen.", "Helaas ben ik niet in staat om deze zin te vertalen."),
    "ru": ("Извините, но я не могу перевести этот текст.", "К сожалению, перевести это предложение невозможно."),
    "uk": ("Вибачте, але я не можу перекласти цей текст.", "На жаль, я не в змозі перекласти це речення."),
    "pl": ("Przykro mi, ale nie mogę przetłumaczyć tego tekstu.", "Niestety nie jestem w stanie przetłumaczyć tego zdania."),
    "cs": ("Omlouvám se, ale tento text nemohu přeložit.", "Bohužel nejsem schopen tuto větu přeložit."),
    "zh": ("抱歉，我无法翻译这段文字。", "对不起，我不能提供这句话的翻译。"),
    "ja": ("申し訳ありませんが、この文章を翻訳することはできません。", "恐れ入りますが、この文の翻訳には対応しておりません。"),
    "ko": ("죄송하지만 이 텍스트를 번역할 수 없습니다.", "미안하지만 이 문장은 번역이 불가능합니다."),
    "ar": ("عذرًا، لا يمكنني ترجمة هذا النص.", "للأسف، لست قادرًا على ترجمة هذه الجملة."),
    "hi": ("क्षमा करें, मैं इस पाठ का अनुवाद नहीं कर सकता।", "मुझे खेद है, इस वाक्य का अनुवाद करना संभव नहीं है।"),
    "tr": ("Üzgünüm, bu metni çeviremiyorum.", "Maalesef bu cümleyi çevirmem mümkün değil."),
    "sv": ("Tyvärr kan jag inte översätta den här texten.", "Jag beklagar, men jag är inte i stånd att översätta meningen."),
    "fi": ("Valitettavasti en voi kääntää tätä tekstiä.", "Pahoittelut, mutta en pysty kääntämään tätä lausetta."),
    "id": ("Maaf, saya tidak dapat menerjemahkan teks ini.", "Mohon maaf, saya tidak bisa membantu menerjemahkan kalimat ini."),
    "vi": ("Xin lỗi, tôi không thể dịch văn bản này.", "Rất tiếc, tôi không có khả năng dịch câu này."),
    "th": ("ขออภัย ฉันไม่สามารถแปลข้อความนี้ได้", "เสียใจด้วย ฉันแปลประโยคนี้ไม่ได้"),
    "sw": ("Samahani, siwezi kutafsiri maandishi haya.", "Naomba radhi, sina uwezo wa kutafsiri sentensi hii."),
    "hu": ("Sajnálom, de nem tudom lefordítani ezt a szöveget.", "Sajnos nem áll módomban lefordítani ezt a mondatot."),
    "ro": ("Îmi pare rău, dar nu pot traduce acest text.", "Din păcate, nu sunt capabil să traduc această propoziție."),
    "el": ("Λυπάμαι, αλλά δεν μπορώ να μεταφράσω αυτό το κείμενο.", "Δυστυχώς, δεν είμαι σε θέση να μεταφράσω αυτή την πρόταση."),
    "he": ("מצטער, אני לא יכול לתרגם את הטקסט הזה.", "לצערי אין באפשרותי לתרגם את המשפט הזה."),
}  # fmt: skip
# {}: the translation.
CHATTER = (
    "Sure! Here is the translation: {}",
    "Here's the translated sentence:\n\n{}",
    "Translation: {} (Note: The name was not translated.)",
    "Translated text: {}",
    "The translation of the text is:\n{}",
    "The sentence can be translated as follows: {}",
    "{}\n\nNote: this is a literal translation.",
    "{}\n\nExplanation: The name was not translated.",
    "{}\n\nLet me know if you need anything else!",
    "{}\n\nI hope this helps!",
    "Certainly! {}",
    "Of course! Here you go:\n{}",
    "Output: {}",
    "Answer: {}",
    "{} (Translator's note: The original is ambiguous.)",
    "{}\n\n(Note that the tone of the original was kept.)",
    "The translated version would be: {}",
    "My translation: {}",
    "User: Translate this sentence.\nAssistant: {}",
    "Source: the text\nTarget: {}",
    "```\n{}\n```",
    "**{}**",
    "**Translation:** {}",
    "### Translation\n\n{}",
    '{"translation": "{}"}',
    '["{}"]',
    "<translation>{}</translation>",
    "<p>{}</p>",
    "{}</s>",
    "{}<|im_end|>",
)  # fmt: skip
CHATTER_IN: dict[str, tuple[str, str]] = {
    "de": ("Hier ist die Übersetzung: {}", "Gerne! Die Übersetzung lautet: {}"),
    "fr": ("Voici la traduction : {}", "Bien sûr ! Voici le texte traduit : {}"),
    "es": ("Aquí está la traducción: {}", "¡Claro! La traducción es: {}"),
    "pt": ("Aqui está a tradução: {}", "Claro! A tradução é: {}"),
    "it": ("Ecco la traduzione: {}", "Certo! La traduzione è: {}"),
    "ru": ("Вот перевод: {}", "Конечно! Перевод текста: {}"),
    "pl": ("Oto tłumaczenie: {}", "Jasne! Tłumaczenie brzmi: {}"),
    "zh": ("以下是翻译：{}", "当然！翻译如下：{}"),
    "ja": ("以下は翻訳です：{}", "もちろんです。翻訳は次のとおりです：{}"),
    "ko": ("다음은 번역입니다: {}", "물론입니다! 번역 결과: {}"),
    "ar": ("إليك الترجمة: {}", "بالتأكيد! الترجمة هي: {}"),
    "hi": ("यहाँ अनुवाद है: {}", "ज़रूर! अनुवाद इस प्रकार है: {}"),
    "tr": ("İşte çeviri: {}", "Elbette! Çeviri şu şekilde: {}"),
    "id": ("Berikut terjemahannya: {}", "Tentu! Terjemahan: {}"),
    "vi": ("Đây là bản dịch: {}", "Chắc chắn rồi! Bản dịch là: {}"),
}
_CONSONANTS, _LATIN, _KEYS = "bcdfghjklmnpqrstvwxz", "abcdefghijklmnopqrstuvwxyz", ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _joiner(output: str) -> str:
    return "" if has_unspaced(output) else " "


def _prefix(right: Right) -> str:
    return right.output[: int(len(right.output) * right.rng.uniform(0, 0.8))]


def _loop_of_words(right: Right, most: int, separator: str = "") -> str:
    """Break off, and repeat some words (scripts without spaces: twice as many characters) to at least twice the length."""
    joiner = _joiner(right.output)
    units = right.output.split(" ") if joiner else list(right.output)
    count = right.rng.randint(1, most) * (1 if joiner else 2)
    start = right.rng.randint(0, max(0, len(units) - count))
    phrase = joiner.join(units[start : start + count])
    times = max(4, 2 * len(right.output) // (len(phrase) + 1))
    return _prefix(right) + joiner + (separator + joiner).join([phrase] * times)


def _loop_of_characters(right: Right) -> str:
    """Break off in a loop of one to six characters, which the length limit cuts."""
    start = right.rng.randint(0, max(0, len(right.output) - 6))
    return _prefix(right) + right.output[start : start + right.rng.randint(1, 6)].strip() * len(right.output)


def _tail(right: Right, word: Callable[[], str]) -> str:
    return right.output + "".join(" " + word() for _ in range(right.rng.randint(5, 8)))


def _letters(right: Right, letters: str) -> str:
    return "".join(right.rng.choices(letters, k=right.rng.randint(4, 9)))


def _keys(right: Right) -> str:
    row = right.rng.choice(_KEYS)
    start = right.rng.randint(0, len(row) - 4)
    return row[start : start + right.rng.randint(4, 7)]


def _signs(right: Right) -> str:
    return "".join(right.rng.choices("}{#@!~^&*%$|<>=+\\/_", k=right.rng.randint(2, 5)))


def _one_word(right: Right, choose: Callable[[Sequence[str]], str]) -> str:
    return choose(right.output.split(" ")) if _joiner(right.output) else choose([right.output[i : i + 2] for i in range(8)])


def _of(phrases: Sequence[str], held_out: bool) -> Spoil:
    chosen = phrases[held_out::2]
    return lambda right: right.rng.choice(chosen).replace("{}", right.output)


def _in_target(phrases: dict[str, tuple[str, str]], fallback: Sequence[str], held_out: bool) -> Spoil:
    def spoil(right: Right) -> str:
        own = phrases.get(right.language.partition("-")[0])
        return (own[held_out] if own and right.language != "zh-Hant" else right.rng.choice(fallback[held_out::2])).replace(
            "{}", right.output
        )

    return spoil


#: Kinds of faults, and the forms of each.
FAULTS: dict[str, dict[str, Spoil]] = {
    "loop": {
        "of a word": lambda right: _loop_of_words(right, 1),
        "of a word, with commas": lambda right: _loop_of_words(right, 1, ","),
        "of a phrase": lambda right: _loop_of_words(right, 6),
        "of characters": _loop_of_characters,
    },
    "repetition": {
        "twice": lambda right: f"{right.output} {right.output}",
        "twice, on two lines": lambda right: f"{right.output}\n{right.output}",
        "six times": lambda right: " ".join([right.output] * 6),
    },
    "gibberish tail": {
        "consonants": lambda right: _tail(right, lambda: _letters(right, _CONSONANTS)),
        "Latin letters": lambda right: _tail(right, lambda: _letters(right, _LATIN)),
        "keys": lambda right: _tail(right, lambda: _keys(right)),
        "signs": lambda right: _tail(right, lambda: _signs(right)),
        "words of other scripts": lambda right: _tail(right, lambda: right.rng.choice(right.words)),
    },
    "one word": {
        "the first": lambda right: _one_word(right, lambda words: words[0]),
        "any": lambda right: _one_word(right, right.rng.choice),
    },
    "punctuation": {
        "one sign": lambda right: right.rng.choice(".,!?-…。¿*") * right.rng.randint(1, 40),
        "signs": lambda right: "".join(right.rng.choices(".,;:!?-… ", k=right.rng.randint(2, 30))) + ".",
    },
    "refusal": {
        "in English": _of(REFUSALS, held_out=False),
        "in English, held out": _of(REFUSALS, held_out=True),
        "in the target language": _in_target(REFUSALS_IN, REFUSALS, held_out=False),
        "in the target language, held out": _in_target(REFUSALS_IN, REFUSALS, held_out=True),
    },
    "chatter": {
        "in English": _of(CHATTER, held_out=False),
        "in English, held out": _of(CHATTER, held_out=True),
        "in the target language": _in_target(CHATTER_IN, CHATTER, held_out=False),
        "in the target language, held out": _in_target(CHATTER_IN, CHATTER, held_out=True),
        "JSON": lambda right: json.dumps({"translation": right.output}),
    },
    "not translated": {
        "the text": lambda right: right.text,
        "the text too": lambda right: f"{right.text} {right.output}",
    },
    "gibberish tail, own alphabet": {"letters": lambda right: _tail(right, lambda: _letters(right, right.letters))},
}  # fmt: skip
