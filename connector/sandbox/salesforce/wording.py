"""The texts of rejections: Salesforce writes them in the user's language, and DUPLICATE_VALUE in several forms.

Codes, field names, Ids and names of Apex exceptions are the same in every language. Texts from a real org are marked as
recorded; the others are our own translations in the word order of that language.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from connector.sandbox.salesforce.identifiers import SHORT

ENGLISH = "en"
UNKNOWN = "<unknown>"

# The English texts that are translated. The names of the groups are those in the templates below.
TEXTS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        name: re.compile(pattern)
        for name, pattern in {
            "taken": r"duplicate value found: (?P<field>\S+) duplicates value on record with id: (?P<id>\S+)",
            "repeated": r"Duplicate external id specified: (?P<key>.*)",
            "parent": r"Foreign key external ID: (?P<key>.*) not found for field (?P<field>\w+) in entity (?P<object>\w+)",
            "column": r"No such column '(?P<field>\w+)' on sobject of type (?P<object>\w+)",
            "unwritable": r"Unable to create/update fields: (?P<field>\w+)\. .*",
            "locked": r"unable to obtain exclusive access to this record or (?P<count>\d+) records: (?P<id>.*)",
            "required": r"Required fields are missing: \[(?P<fields>.*)\]",
            "duplicates": r"Use one of these records\?",
            "picklist": r"(?P<label>.*): bad value for restricted picklist field: (?P<value>.*)",
            "too_long": r"(?P<label>.*): data value too large: (?P<value>.*) \(max length=(?P<length>\d+)\)",
            "deleted": r"entity is deleted",
            "nowhere": r"invalid cross reference id",
            "wrong_id": r"(?P<label>.*): id value of incorrect type: (?P<value>.*)",
            "member": r"Already a campaign member\.",
        }.items()
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language: Salesforce's code for it, and the texts by the names in TEXTS; missing texts stay English."""

    code: str
    texts: Mapping[str, str] = field(default_factory=dict)

    def translated(self, message: str) -> str:
        """A message in this language."""
        for name, template in self.texts.items():
            found = TEXTS[name].fullmatch(message)
            if found is not None:
                return template.format(**found.groupdict())
        return message


FRENCH = Language(
    code="fr",
    texts={
        # Recorded (without escapes of the accents); the others have the same form.
        "taken": "valeur en double trouvée : {field} duplique une valeur dans l'enregistrement ID : {id}",
        "repeated": "ID externe spécifié en double : {key}",
        "parent": "ID externe de clé étrangère : {key} introuvable pour le champ {field} dans l'entité {object}",
        "column": "Aucune colonne '{field}' dans le sobject de type {object}",
        "unwritable": "Impossible de créer/mettre à jour les champs : {field}. Vérifiez les paramètres de sécurité de ce champ.",
        "locked": "impossible d'obtenir un accès exclusif à cet enregistrement ou à {count} enregistrements : {id}",
        "required": "Champs requis manquants : [{fields}]",
        "duplicates": "Utiliser l'un de ces enregistrements ?",
        "picklist": "{label} : valeur incorrecte pour le champ de liste de sélection restreinte : {value}",
        "too_long": "{label} : valeur de données trop grande : {value} (longueur maximale={length})",
        "deleted": "l'entité est supprimée",
        "nowhere": "ID de référence croisée non valide",
        "wrong_id": "{label} : valeur d'ID de type incorrect : {value}",
        "member": "Déjà membre de la campagne.",
    },
)
PORTUGUESE = Language(
    code="pt_BR",
    texts={
        "duplicates": "Usar um desses registros?",  # recorded; the others are ours
        "taken": "valor duplicado encontrado: {field} duplica o valor no registro com id: {id}",
        "repeated": "ID externo duplicado especificado: {key}",
        "parent": "ID externo da chave estrangeira: {key} não encontrado para o campo {field} na entidade {object}",
        "column": "Não existe a coluna '{field}' no sobject do tipo {object}",
        "unwritable": "Não é possível criar/atualizar os campos: {field}. Verifique as configurações de segurança desse campo.",
        "locked": "não foi possível obter acesso exclusivo a este registro ou a {count} registros: {id}",
        "required": "Campos obrigatórios ausentes: [{fields}]",
        "picklist": "{label}: valor inválido para o campo de lista de opções restrita: {value}",
        "too_long": "{label}: valor de dados muito grande: {value} (comprimento máximo={length})",
        "deleted": "a entidade foi excluída",
        "nowhere": "ID de referência cruzada inválido",
        "wrong_id": "{label}: valor de id de tipo incorreto: {value}",
        "member": "Já é membro da campanha.",
    },
)
JAPANESE = Language(
    code="ja",
    texts={
        "picklist": "{label}: 制限つき選択リスト項目の値が不適切: {value}",  # recorded; the others are ours
        "taken": "重複する値が見つかりました: {field} は次の ID のレコードと値が重複しています: {id}",
        "repeated": "重複する外部 ID が指定されました: {key}",
        "parent": "外部キーの外部 ID: エンティティ {object} の項目 {field} に {key} が見つかりません",
        "column": "型 {object} の sobject に列 '{field}' はありません",
        "unwritable": "項目を作成または更新できません: {field}。この項目のセキュリティ設定を確認してください。",
        "locked": "このレコードまたは {count} 件のレコードへの排他的アクセスを取得できません: {id}",
        "required": "必須項目が入力されていません: [{fields}]",
        "duplicates": "これらのレコードのいずれかを使用しますか?",
        "too_long": "{label}: データの値が大きすぎます: {value} (最大文字数={length})",
        "deleted": "エンティティが削除されています",
        "nowhere": "無効な相互参照 ID",
        "wrong_id": "{label}: ID の値の型が正しくありません: {value}",
        "member": "すでにキャンペーンメンバーです。",
    },
)
NORWEGIAN = Language(
    code="no",
    texts={  # ours
        "taken": "fant duplikatverdi: {field} dupliserer en verdi i posten med ID: {id}",
        "repeated": "Ekstern ID er angitt to ganger: {key}",
        "parent": "Ekstern ID for fremmednøkkel: {key} ble ikke funnet for feltet {field} i enheten {object}",
        "column": "Ingen kolonne '{field}' i sobject av typen {object}",
        "unwritable": "Kan ikke opprette/oppdatere feltene: {field}. Kontroller sikkerhetsinnstillingene for feltet.",
        "locked": "får ikke eksklusiv tilgang til denne posten eller {count} poster: {id}",
        "required": "Obligatoriske felt mangler: [{fields}]",
        "duplicates": "Vil du bruke en av disse postene?",
        "picklist": "{label}: ugyldig verdi for begrenset valglistefelt: {value}",
        "too_long": "{label}: dataverdien er for stor: {value} (maks. lengde={length})",
        "deleted": "enheten er slettet",
        "nowhere": "ugyldig kryssreferanse-ID",
        "wrong_id": "{label}: ID-verdi av feil type: {value}",
        "member": "Er allerede kampanjemedlem.",
    },
)
LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        ENGLISH: Language(code="en_US"),
        "fr": FRENCH,
        "pt": PORTUGUESE,
        "ja": JAPANESE,
        "no": NORWEGIAN,
        "nb": NORWEGIAN,
    }
)
# The forms of DUPLICATE_VALUE with field and record. All but the first were recorded.
FORMS = ("long_id", "short_id", "several", "unknown", "unnamed")


class Wording:
    """The language of an org's users, and the form of its DUPLICATE_VALUE."""

    def __init__(self, language: str = ENGLISH) -> None:
        self.language = LANGUAGES[language]
        self.duplicates = FORMS[0]

    def duplicate_value(self, field_name: str, other: str) -> str:
        """The message that another record has the same value of a unique field."""
        short = other if other == UNKNOWN else other[:SHORT]
        pair = f"{field_name} duplicates value on record with id:"
        match self.duplicates:
            case "short_id":
                return f"duplicate value found: {pair} {short}"
            case "several":
                return (
                    f"duplicate value found: SMS_Mirror__c duplicates value on record with id: {short}, {pair} {short}"
                )
            case "unknown":
                return f"duplicate value found: {UNKNOWN} duplicates value on record with id: {UNKNOWN}"
            case "unnamed":
                return "duplicate value found: duplicates value on record with id: "
            case _:
                return f"duplicate value found: {pair} {other}"

    def translate_error(self, error: dict[str, Any]) -> dict[str, Any]:
        """An error of a response with its message in the language of the user."""
        return {**error, "message": self.language.translated(error["message"])}
