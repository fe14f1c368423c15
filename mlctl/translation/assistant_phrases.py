"""Phrases by which a language model answers instead of translating: it refuses, introduces or explains its translation.

In the languages that such models answer in most. A phrase counts only where the source text has none of its topic.
"""

from __future__ import annotations

import functools
import re

#: Topics of an assistant's answer: it speaks of itself, of translating, refuses, introduces the translation, explains it, repeats the
#: prompt, or agrees.
SELF, TRANSLATION, REFUSAL, INTRODUCTION = "self", "translation", "refusal", "introduction"
NOTE, PROMPT, AGREEMENT = "note", "prompt", "agreement"

_PHRASES: dict[str, tuple[str, ...]] = {
    SELF: (
        r"\bas an? (?:AI\b|artificial intelligence|(?:large )?language model)",
        r"\b(?:AI|large) language model",
        r"\bI(?: am|['’]m) (?:just )?an? (?:AI|artificial|language model|virtual|assistant)",
        r"en tant qu['’](?:IA|intelligence artificielle|assistant)|mod[eè]le de langage|mod[eè]le linguistique",
        r"als (?:KI|künstliche Intelligenz)\b|Sprachmodell|KI-Assistent",
        r"como (?:una? )?(?:IA|inteligencia artificial|inteligência artificial|asistente|assistente)\b|modelo de (?:lenguaje|linguagem|língua)",
        r"modello linguistico|come (?:IA|intelligenza artificiale)\b|taalmodel|als (?:een )?AI\b",
        r"języko\w+ model|model\w* język|jazykov\w+ model|nyelvi modell|model lingvistic|språkmodell|sprogmodel|kielimalli|γλωσσικό μοντέλο",
        r"языков\w+ модел|модел\w+ языка|мовн\w+ модел|езиков модел|język\w+ sztuczn|dil modeli|model bahasa|mô hình ngôn ngữ",
        r"语言模型|語言模型|言語モデル|언어 ?모델|โมเดลภาษา|แบบจำลองภาษา|نموذج لغ|النموذج اللغوي|مدل زبان|भाषा मॉडल|ভাষা মডেল|மொழி மாதிரி|לשון מודל|מודל שפה",
        r"作为(?:一个)?(?:AI|人工智能)|AIアシスタント|인공지능(?:으로서| 언어)",
    ),
    # Not where it means another thing: "translates into jobs", Turkish and Finnish "turn", Vietnamese "epidemic", Thai "change".
    TRANSLATION: (
        r"\btranslation\b|\btranslated (?:text|sentence|version)|\btranslat(?:e|ing|ed) (?:this|that|the|these|it|content|as follows|text|sentence)\b|\bto translate\b(?!\s(?:in)?to\b)",
        r"(?<!\bse )\b(?:traduire|traduction\w*|texte traduit|phrase traduite)\b(?!\s(?:par|en justice)\b)|\b(?:traducir\w*|traducción\w*|traducciones)\b(?!\sen\b)|\b(?:traduzir\w*|tradução|traduções)\b(?!\sem\b)",
        r"\b(?:tradurre|traduzion[ei]|tradotto)\b(?!\sin\b)|\b(?:traduce?|traducere\w*|tradus)\b(?=.{0,20}(?:text|propoziți|:))|\btraducció|\btradución",
        r"(?:^|\W)(?:ins? \w+ )?übersetz(?:en|ung\w*|bar)\b|\bvertal(?:en|ing\w*)\b|\böversätt(?:a|ning\w*)\b|\boversætte(?:lse\w*)?\b|\boversette(?:lse\w*)?\b|\bþýð(?:a|ing\w*)\b",
        r"\bпереве(?:сти|ден\w*)\s(?:эт\w+ )?(?:текст|предложен|фраз)|\bперевод(?:\sтекста\b|\s?:)|\bпереклад(?:у|ом)?\b(?=\W|$)|\bперекласти\b|\bпревод(?:ът|а)?\s?:|\bпреведа\b|\bпревести\b",
        r"\bprzetłumacz\w*|\btłumaczeni[ea]\b|\bpřelož(?:it|en\w*)\b|\bpřeklad\w*|\bpreklad\w*|\bpreložiť|\bprevest(?:i)?\b|\bprijevod\w*|\bprevod\s?:",
        r"\blefordít\w*|\bfordítás(?:a|t)?\b|\bkäännö(?:s|ksen)\s?(?:on\s?)?:|\bkääntää (?:tätä|tämän)|\bkääntämään (?:tätä|tämän)|\btõlkida\b|\btõlge\b|\btulkot\b|\bversti\b|\bvertimas\b",
        r"μεταφράσ(?:ω|ει)\b|μετάφραση|\bçeviri(?:si|yi)?\b|\bcümleyi çevir|\bmetni çevir|\btercüme|\b(?:men)?terjemah\w*|\bbản dịch\b|\bdịch (?:câu|văn bản|đoạn)|\bkutafsiri\b|\btafsiri (?:ni|ya)\b|\bitzulpen\w*|\bpagsasalin\b|\bisalin\b|\bvertaal\b",
        r"翻译|翻譯|译文|譯文|翻訳|和訳|번역|ترجم(?!ان)|अनुवाद|भाषांतर|অনুবাদ|மொழிபெயர்|అనువ(?:ాద|ద)|ഭാഷാന്തര|വിവർത്തന|ಅನುವಾದ|ભાષાંતર|અનુવાદ|ਅਨੁਵਾਦ|คำแปล|แปล(?:ประโยค|ข้อความ|ว่า)|การแปล\b|תרגום|לתרגם|аударма|თარგმ|թարգման|ትርጉም|បកប្រែ|ແປພາສາ|ဘာသာပြန်",
    ),
    REFUSAL: (
        r"\bI(?:['’]m| am)(?: very| so)? (?:sorry|afraid|unable)\b.{0,60}\b(?:can['’]?t|cannot|can not|unable|not able|won['’]t)\b",
        r"\bI (?:can['’]?t|cannot|can not|am not able to|won['’]t) (?:translate|assist|help|provide|fulfil|complete|comply|do that|process)",
        r"\b(?:please|could you) (?:provide|share|give|send|paste)\b.{0,40}\b(?:text|sentence|content)",
        r"\blanguage is not supported\b|\b(?:your|the) (?:message|text|sentence|input) (?:is|seems|appears)(?: to be)? (?:incomplete|missing|empty|cut off)",
        r"\b(?:I|we) (?:must|have to) (?:decline|refuse)\b|\bviolat\w+ (?:the|our|my|any)?\s?(?:\w+ )?(?:polic|guideline)",
        r"\bno (?:text|input|sentence) (?:was |has been )?(?:provided|given)",
        r"(?:désolé|navré|regrette).{0,40}(?:ne (?:peux|puis)|impossible|pas en mesure)|ne (?:peux|puis) pas (?:traduire|vous aider|répondre)",
        r"(?:tut mir leid|entschuldig|leider).{0,40}(?:kann ich|ich kann).{0,60}(?:nicht|keine)|kann (?:ich )?(?:diese\w* |den |das )?.{0,25}nicht (?:übersetzen|helfen)",
        r"(?:lo siento|disculpe|lamento).{0,40}no (?:puedo|soy capaz|es posible)|no puedo (?:traducir|ayudar)",
        r"(?:desculpe|sinto muito|lamento|perdão).{0,40}não (?:posso|consigo|é possível)|não (?:posso|consigo) (?:traduzir|ajudar)",
        r"(?:mi dispiace|spiacente|scusa).{0,40}non (?:posso|sono in grado|riesco)|non posso (?:tradurre|aiutar)",
        r"(?:het spijt me|sorry).{0,40}(?:kan ik|ik kan).{0,40}(?:niet|geen)|kan ik niet (?:vertalen|helpen)",
        r"(?:извините|простите|сожалению|сожалею).{0,50}(?:не могу|\bя не в состоянии)|не могу (?:перевести|помочь|выполнить)",
        r"(?:вибачте|перепрошую|жаль).{0,50}не можу|не можу (?:перекласти|допомогти)",
        r"(?:przepraszam|przykro|niestety).{0,40}nie (?:mogę|jestem w stanie)|nie mogę (?:przetłumaczyć|pomóc)",
        r"(?:omlouvám|bohužel|promiňte|lituji).{0,40}(?:nemohu|nemůžu|nejsem schop)|nemohu (?:přeložit|pomoci)",
        r"(?:sajnál|elnézést).{0,40}nem (?:tud|áll)|(?:îmi pare rău|din păcate).{0,40}nu pot|(?:λυπάμαι|συγγνώμη).{0,40}δεν μπορώ",
        r"(?:tyvärr|ledsen|beklager|desværre|undskyld).{0,40}(?:kan jag|kan jeg|jag kan|jeg kan).{0,30}(?:inte|ikke)|(?:pahoittelen|valitettavasti|anteeksi).{0,40}en (?:voi|pysty)",
        r"(?:üzgünüm|maalesef|özür).{0,50}(?:emem|amam|emiyorum|amıyorum|yardımcı olam)|(?:maaf|mohon maaf).{0,40}(?:tidak (?:dapat|bisa)|tak dapat)",
        r"(?:xin lỗi|rất tiếc).{0,40}không thể|samahani.{0,40}(?:siwezi|sitaweza)|pasensya.{0,40}hindi ko|jammer.{0,30}kan nie",
        r"(?:抱歉|对不起|對不起|很遗憾).{0,20}(?:无法|無法|不能|没办法)|(?:申し訳|すみません|ごめん).{0,30}(?:できません|出来ません|いたしかね)|(?:죄송|미안).{0,30}(?:수 없|못)",
        r"(?:عذر|آسف|نأسف|للأسف).{0,40}(?:لا (?:أستطيع|يمكنني|أقدر)|لا نستطيع)|(?:متأسف|ببخشید|پوزش).{0,40}نمی|(?:معذرت|معاف).{0,40}(?:نہیں|قاصر)",
        r"(?:क्षमा|माफ़|माफ|खेद).{0,40}(?:नहीं|असमर्थ)|(?:দুঃখিত|ক্ষমা).{0,40}(?:পারি না|পারছি না|পারব না|অক্ষম)|(?:மன்னிக்க|வருந்து).{0,40}(?:முடியாது|இயலாது|முடியவில்லை)",
        r"(?:క్షమించ).{0,40}(?:లేను|సాధ్యం కాదు)|(?:क्षमस्व|माफ करा).{0,40}(?:शकत नाही)|(?:ขออภัย|ขอโทษ|เสียใจ).{0,30}(?:ไม่สามารถ|ไม่ได้)|(?:מצטער|סליחה).{0,30}(?:לא יכול|אינני|אין באפשרותי)",
        r"(?:кешір|өкін).{0,40}(?:алмаймын)|(?:ვწუხ|უკაცრავად|ბოდიშ).{0,40}(?:ვერ|არ შემიძლია)|(?:barkatu|sentitzen).{0,40}ezin|(?:vabandust|kahjuks).{0,40}(?:ei saa|ei suuda)",
    ),
    INTRODUCTION: (
        r"^\W*(?:sure|certainly|of course|absolutely|okay|great)\W+(?:here|I)\b",
        r"\bhere(?: is|['’]s)(?: the| your| a| my)?(?: \w+)? translat",
        r"\b(?:the|your|a|my|this)(?: \w+){0,2} translation\b.{0,25}(?:is|to|would be|into|:)|\b(?:text|sentence|phrase) translates\b",
        r"^\W*(?:translation|translated text|translated|output|answer|response|target)\s*(?:\([^)]*\)|in \w+)?\s*[:：]",
        r"^\W*(?:english|french|german|spanish|portuguese|italian|russian|chinese|japanese|korean|arabic|hindi|turkish|polish|swahili)(?: translation| version)?\s*[:：]",
        r"^\W*(?:traduction|übersetzung|traducción|tradução|traduzione|vertaling|перевод|переклад|tłumaczenie|překlad|fordítás|traducere|μετάφραση|översättning|oversættelse|oversettelse|käännös|çeviri|terjemahan|bản dịch|tafsiri|tõlge|itzulpena|аударма|თარგმანი)\s*[:：]",
        r"^\W*(?:翻译|翻譯|译文|譯文|翻訳|訳|번역|ترجمة|الترجمة|ترجمه|अनुवाद|অনুবাদ|மொழிபெயர்ப்பு|అనువాదం|भाषांतर|คำแปล|תרגום)\s*[:：]",
        r"(?:voici la traduction|hier ist die übersetzung|aquí (?:está|tienes|tiene) la traducción|aqui está a tradução|ecco la traduzione|hier is de vertaling|вот перевод|ось переклад|oto tłumaczenie|zde je překlad|以下是翻译|以下は翻訳|다음은 번역)",
    ),
    NOTE: (
        r"[(\[*]\s*(?:note|translator['’]?s note|explanation|literally|n\.b\.|nb|alternatively|or)\s*[:：]",
        r"(?:^|[.!?\n]\W*)(?:note|explanation|alternative(?: translation)?s?)\s*[:：]",
        r"\b(?:this|the)(?: \w+)? (?:sentence|phrase|word|text|term|expression)s?\b.{0,40}\b(?:means|translates|is translated|can be translated|refers to)\b",
        r"\b(?:let me know(?= if| whether| what| should)|feel free to (?:ask|reach|contact|let)|hope this (?:helps|translation|is helpful)|is there anything else)\b",
        r"[(\[]\s*(?:remarque|anmerkung|hinweis|nota|opmerking|примечание|примітка|uwaga|poznámka|megjegyzés|notă|σημείωση|obs|huom|not|catatan|ghi chú|注|注意|备注|備註|참고|ملاحظة|नोट|নোট|குறிப்பு|หมายเหตุ|הערה)\s*[:：]",
    ),
    AGREEMENT: (
        r"^\W*(?:sure(?: thing)?|certainly|of course|absolutely|no problem|gladly|gerne|natürlich|selbstverständlich|klar|bien sûr|certainement|avec plaisir|claro|por supuesto|con gusto|com certeza|certo|certamente|volentieri|natuurlijk|graag|конечно|разумеется|с удовольствием|звичайно|oczywiście|jasne|samozřejmě|jistě|persze|természetesen|desigur|självklart|selvfølgelig|tietysti|elbette|tabii(?: ki)?|tentu(?: saja)?|chắc chắn rồi|dĩ nhiên|bila shaka|βεβαίως|φυσικά|当然|當然|好的|もちろん(?:です)?|물론(?:입니다|이죠)?|بالتأكيد|بالطبع|ज़रूर|अवश्य|অবশ্যই|แน่นอน|בוודאי|כמובן)\s*[!！。](?=.{10})",
    ),
    PROMPT: (
        r"\btranslate (?:the|this|these|from|it|into|to)\b|\btranslate\b.{0,30}\b(?:into|to) (?:english|french|german|spanish|\w+ian|\w+ese|\w+ish)\b",
        r"^\W*(?:source|input|original|user|assistant|system|human|prompt|instruction)(?: text| sentence)?\s*[:：]",
        r"\byou are a (?:professional |helpful )?(?:translator|assistant)",
    ),
}  # fmt: skip


def assistant_topics(text: str) -> frozenset[str]:
    """Return the topics of an assistant's answer that a text has."""
    return frozenset(topic for topic in _PHRASES if _pattern(topic).search(text))


@functools.cache
def _pattern(topic: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{phrase})" for phrase in _PHRASES[topic]), re.IGNORECASE)
