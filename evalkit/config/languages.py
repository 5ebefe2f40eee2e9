"""Languages by their codes of ISO 639, and the scripts that they are written in."""

import re

from evalkit.errors import ConfigError

# Two letters, then the three of ISO 639-2/T.
_CODES = """
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul bi:bis bm:bam
bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces cu:chu cv:chv cy:cym da:dan de:deu dv:div dz:dzo
ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas ff:ful fi:fin fj:fij fo:fao fr:fra fy:fry ga:gle gd:gla gl:glg
gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her ia:ina id:ind ie:ile ig:ibo ii:iii
ik:ipk io:ido is:isl it:ita iu:iku ja:jpn jv:jav ka:kat kg:kon ki:kik kj:kua kk:kaz kl:kal km:khm kn:kan ko:kor kr:kau
ks:kas ku:kur kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mri
mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nb:nob nd:nde ne:nep ng:ndo nl:nld nn:nno no:nor nr:nbl nv:nav
ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli pl:pol ps:pus pt:por qu:que rm:roh rn:run ro:ron ru:rus rw:kin
sa:san sc:srd sd:snd se:sme sg:sag si:sin sk:slk sl:slv sm:smo sn:sna so:som sq:sqi sr:srp ss:ssw st:sot su:sun sv:swe
sw:swa ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr
ur:urd uz:uzb ve:ven vi:vie vo:vol wa:wln wo:wol xh:xho yi:yid yo:yor za:zha zh:zho zu:zul
"""
_THREE_LETTERS = dict(pair.split(":") for pair in _CODES.split())
# Codes of single languages, as collections are labelled, to the macrolanguage that has the two letters.
_MEMBERS = """
acm:ar als:sq apc:ar arb:ar ars:ar ary:ar arz:ar azj:az cmn:zh ekk:et gaz:om khk:mn lvs:lv npi:ne ory:or pbt:ps pes:fa
plt:mg prs:fa swh:sw uzn:uz yue:zh zsm:ms
"""
_TWO_LETTERS = {
    **{three: two for two, three in _THREE_LETTERS.items()},
    **dict(pair.split(":") for pair in _MEMBERS.split()),
}

# First word of the Unicode names of a script's letters -> its code of ISO 15924, and the languages written in it.
_SCRIPTS = {
    "ARABIC": ("Arab", "ar fa ur ps sd ug ku ks az"),
    "ARMENIAN": ("Armn", "hy"),
    "BENGALI": ("Beng", "bn as"),
    "CJK": ("Hans", "zh ja"),
    "CYRILLIC": ("Cyrl", "ru uk bg sr be mk kk ky tg tt mn uz ba ce cv os ab av kv cu az bs"),
    "DEVANAGARI": ("Deva", "hi mr ne sa ks sd"),
    "ETHIOPIC": ("Ethi", "am ti om"),
    "GEORGIAN": ("Geor", "ka"),
    "GREEK": ("Grek", "el"),
    "GUJARATI": ("Gujr", "gu"),
    "GURMUKHI": ("Guru", "pa"),
    "HANGUL": ("Kore", "ko"),
    "HEBREW": ("Hebr", "he yi"),
    "KANA": ("Jpan", "ja"),
    "KANNADA": ("Knda", "kn"),
    "KHMER": ("Khmr", "km"),
    "LAO": ("Laoo", "lo"),
    "MALAYALAM": ("Mlym", "ml"),
    "MYANMAR": ("Mymr", "my"),
    "ORIYA": ("Orya", "or"),
    "SINHALA": ("Sinh", "si"),
    "TAMIL": ("Taml", "ta"),
    "TELUGU": ("Telu", "te"),
    "THAI": ("Thai", "th"),
    "TIBETAN": ("Tibt", "bo dz"),
}


def language_code(key: str, value: str) -> str:
    """The code of a language as evalkit writes it: `de` of `de`, `DE`, `de-AT`, `deu` and `deu-Latn`.

    It has two letters where ISO 639-1 has the language, else three.

    Raises:
        ConfigError: the value is not a code. `key` is the setting in the message.
    """
    code = short_code(value)
    if code not in _THREE_LETTERS and not re.fullmatch("[a-z]{3}", code):
        norwegian = " YAML reads no as false: put the code in quotes." if value == "False" else ""
        raise ConfigError(f"{key}={value} is not a language code of ISO 639, such as en, de, ja or zh.{norwegian}")
    return code


def short_code(value: str) -> str:
    """The code without region and script, of two letters where the language has them; whether it is one or not."""
    code = re.split("[-_]", value.lower())[0]
    return _TWO_LETTERS.get(code, code)


def languages_in(script: str) -> tuple[str, ...]:
    """The languages written in a script, the likeliest first; none for Latin and for scripts that are not known.

    Args:
        script: first word of the Unicode names of its letters, `KANA` for both kanas.
    """
    return tuple(_SCRIPTS[script][1].split()) if script in _SCRIPTS else ()


def is_written_in(language: str, script: str) -> bool:
    """Whether a language is written in a script; in Latin, and in an unknown one, those without a script of ours."""
    if script in _SCRIPTS:
        return language in languages_in(script)
    return not any(language in languages_in(known) for known in _SCRIPTS)


def mteb_code(language: str) -> str:
    """The code of a language with that of its script, as mteb writes it: `deu-Latn` of `de`."""
    scripts = (code for code, languages in _SCRIPTS.values() if languages.split()[0] == language)
    return f"{_THREE_LETTERS.get(language, language)}-{next(scripts, 'Latn')}"
