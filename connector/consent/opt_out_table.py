"""The words that opt_out_words.py knows, by language: stop words, polite words, words for everything, negations.

Words are written here without case and accents, and so without the ring of å: `na` is nå, `sag upp` is säg upp. What
a donor writes is compared in the same form. A config adds its own words under `consent:` and under a provider.
"""

from collections.abc import Mapping


def words_of(languages: Mapping[str, str]) -> list[str]:
    """The words and phrases of a table below, of all its languages."""
    return [word for words in languages.values() for word in words.split(",")]


# Words that mean stop anywhere in a text. English: the list of 47 CFR 64.1200(a)(10) (stop, quit, end, revoke, opt out,
# cancel, unsubscribe) and STOPALL, which Twilio accepts by default and subscribers know. Norway and Denmark require
# STOP and STOPP.
STOP_WORDS = {
    "en": (
        "stop, stopall, stopping, quit, revoke, cancel, cancell, unsubscribe, unsubcribe, unsuscribe, unsub, "
        "opt out, optout, opt me out, opting out, remove me, remove my number, take me off, un subscribe, "
        "unsubscribing, unsubsribe, unsubscibe, unscribe, un sub, desubscribe, get me out, opted out, "
        # Typing errors of STOP that are no other word.
        "stpo, sotp, tsop, sttop, stpp, stopo, stp, stoo, sto p, sto pp, sotpp, tsopp, stpop, stopop, stoppo"
    ),
    "no": (
        "stopp, stoppe, stans, stanse, stanses, stansa, stogg, stogge, stogga, avmeldes, slutte, avslutt, avslutte, avslutta, avmeld, "
        "avmelde, avmelding, meld av, meld meg av, melde av, melde meg av, avbestill, avbestille, avbestilling, "
        "si opp, sier opp, sei opp, sier herved opp, oppsigelse, oppsigelsen, avbryt, avbryte, kanseller, kansellere, "
        "kanselere, slutter, annuller, annullere, anuller, annuler, stopper, stoppes, avslutter, avsluttes, melder meg av, "
        "meld meg ut, melde meg ut, melder meg ut, meld ut, utmeld, utmelding, fjern meg, fjern nummeret, slett meg, "
        "slette meg, stryke meg, fjerne meg, slette nummeret, fjerne nummeret, "
        "ta meg av, stryk meg, reserver meg, reservere meg, reserverer meg"
    ),
    "da": (
        "stop, stoppe, afmeldes, frameldes, afslut, afslutte, afmeld, afmelde, afmelding, meld af, meld mig af, "
        "frameld, framelde, framelding, meld fra, meld mig fra, melder mig fra, opsig, opsige, opsiger, opsigelse, "
        "afbestil, afbestille, annuller, annuler, annullere, annullering, af meld, afmæld, afmelder, stopper, "
        "afslutter, afsluttes, udmeld, udmelde, udmeldelse, meld mig ud, melde mig ud, melder mig ud, fjern mig, slet mig, "
        "fjerne mig, slette mig"
    ),
    "sv": (
        "stopp, stoppa, sluta, avsluta, avanmal, avanmala, avanmalan, avregistrera, avbestall, avbestalla, avbryt, "
        "avboka, sag upp, saga upp, sager upp, uppsagning, ta bort mig, ta bort mitt, avprenumerera, radera mig, "
        "stoppar, slutar, avslutar, avslutas, avanmaler, avregistrering, ga ur, gar ur, uttrade, avsag, avsager"
    ),
    "fi": (
        "lopeta, lopetan, lopettaa, lopettakaa, lopetus, peruuta, peruutan, peruuttaa, peruutus, irtisano, "
        "irtisanon, irtisanominen, poista minut, poistakaa minut, poista numeroni, seis, pysayta, keskeyta, "
        "lopettaminen, lopettaisin, stoppi, eroan"
    ),
    "se": "bissehit, bisset, heaitit, heaittihit, loahpahit",
    "pl": (
        "wypisz, wypisac, wypisuje, rezygnuje, rezygnacja, zrezygnuj, zrezygnowac, rezygnowac, anuluj, anulowac, "
        "przestan, przestancie, przestac, zatrzymaj, zatrzymac, zakoncz, zakonczyc, usun mnie, usunac mnie, "
        "odsubskrybuj, wypowiadam, wypowiedzenie"
    ),
    "de": (
        "abmelden, abmeldung, melde mich ab, melden sie mich ab, kundigen, kundige, kundigung, beenden, stornieren, "
        "abbestellen, aufhoren, austragen, stoppen"
    ),
    "fr": "arret, arreter, arrete, arretez, desabonner, desabonnez, desabonnement, desinscription, resilier, annuler",
    "es": "parar, cancelar, detener, detente, darme de baja, dar de baja",
    "lt": "sustabdyti, sustabdykite, stabdyti, atsisakau, atsisakyti",
    "ru": "стоп, отписаться, отпишите, отписка, прекратите, отмените",  # the first also Ukrainian
    "uk": "зупинити, зупиніть, відписатися, відпишіть, припиніть",
    "tr": "iptal, durdur",
    "ar": "توقف, الغاء",
    "el": "στοπ",
}
# Words that mean stop alone or at the beginning of a text, but are too common to mean it after other words: `the end`.
WEAK_STOP_WORDS = {"en": "end, remove", "no": "slutt, slett", "da": "slut, slet, stands", "sv": "slut"}
# Words of a text without a stop word that may ask to stop nevertheless. Such a text is shown to a person if it is short.
REFUSALS = {
    "en": (
        "no more text, no more texts, no more sms, no more message, no more messages, no more charges, "
        "no more payments, do not text, dont text, don t text, do not message, dont message, do not contact, "
        "dont contact, don t contact, do not send, dont send, don t send, do not sms, dont sms, do not call me, "
        "dont call me, do not charge, dont charge, leave me alone, delete me, delete my, delete number, erase me, "
        "get me off, get out of, forget me, withdraw my, withdraw consent, no longer want, no longer wish, "
        "no longer interested, not interested, dont want any more, do not want any more, dont want this, "
        "do not want this, dont want these, do not want these, dont want your, do not want your, dont want to, "
        "do not wish, no thanks, no thank you, no thank u, wrong number, wrong person, not my number, "
        "lose my number, take my number, block me, go away, fuck off, piss off, terminate, discontinue, canceled, "
        "cancelled, canceling, cancelling, cancellation, unsubscribed, unsubcribed, i stopped, have stopped, "
        "has passed away, is deceased, has died, is dead, take us off, refund, my money back, without permission, not authorize, "
        "didnt authorize, didn t authorize, unauthorized, unauthorised, signed me up, sign up for this, "
        "signed up for this, asked for these, asked for this, get my number, not disturb, do not call list, harassment, "
        "will report you, sue you, i said no, wrong guy, cant afford, can t afford, cannot afford, can not afford"
    ),
    "no": (
        "ikke send, ikkje send, send ikke, send ikkje, ikke flere sms, ikke flere meldinger, ikke flere trekk, "
        "ingen flere sms, ingen flere meldinger, ingen flere trekk, ikkje fleire sms, ikkje fleire meldingar, "
        "ikke mer sms, ikkje meir sms, vil ikke ha, vil ikkje ha, vil ikke motta, vil ikkje motta, vil ikke lenger, "
        "vil ikkje lenger, vil ikke være med, vil ikkje vere med, vil ikke betale, vil ikkje betale, "
        "vil ikke støtte, vil ikkje støtte, vil ikke mer, vil ikkje meir, vil ikke gi, vil ikkje gi, "
        "kan ikke gi mer, kan ikkje gi meir, ikke rad, ikkje rad, ønsker ikke, onsker ikke, ønskjer ikkje, "
        "la meg være, la meg vere, ikke kontakt, ikkje kontakt, ikke trekk, ikkje trekk, trekk samtykket, "
        "trekker samtykket, trekker tilbake, ta meg bort, ta bort meg, jeg meg ut, slett nummeret, slett min, "
        "slett mitt, nei takk, ikke interessert, ikkje interessert, ikke mas, ikke ring, ikkje ring, "
        "ikke forstyrr, melder jeg meg av, sier jeg opp, opphør, opphøre, opphører, avsluttet, avslutta, stoppet, "
        "kansellert, avmeldt, avbestilt, oppsagt, sagt opp, feil nummer, feil nr, feil person, feil mottaker, "
        "tilhører ikke, tilhøyrer ikkje, er død, er dessverre død, er gatt bort, trekk ikke, trekk ikkje, "
        "trekker mitt samtykke, samtykke trekkes, tilbakekall, kutt ut, kutte ut, kutt det ut, ikke bestilt, "
        "ikkje bestilt, ikke meldt meg, ikkje meldt meg, har meldt meg, bli fjernet, fjernes, bli slettet, slettes, "
        "sletting, oppheve, heve avtalen, heve avtale, hev avtalen, terminer, terminere, termineres, terminerer, angrer, "
        "vil ikke være fadder, vil ikke være giver, vil ikke være medlem, aldri meldt meg, seie opp, seier opp, "
        "trekker meg, trekkjer meg, trekke meg, trekk meg ut, ta meg vekk, stryk nummeret, ring meg ikke, "
        "angrerett, angreretten, refunder, refusjon, pengene tilbake, pa pause, en pause"
    ),
    "da": (
        "vil ikke have, vil ikke modtage, vil ikke længere, vil ikke laengere, lad mig være, lad mig vaere, "
        "ikke flere sms, ikke flere beskeder, ingen flere sms, ingen flere beskeder, hold op, hold nu op, "
        "slet mit nummer, traek mit samtykke, trækker mit samtykke, nej tak, vil ikke mere, vil ikke støtte, "
        "ikke interesseret, forkert nummer, ophør, ophøre, afmeldt, frameldt, opsagt, er død, fortrudt, fortryder, pengene tilbage, "
        "ophæv, ophæve, refusion, ingen flere opkrævninger, ikke tilmeldt mig"
    ),
    "sv": (
        "skicka inte, skicka inga, inga fler sms, inga mer sms, inga fler meddelanden, vill inte ha, "
        "vill inte fa, vill inte langre, vill inte vara med, onskar inte, lamna mig i fred, lamna mig ifred, "
        "kontakta inte, kontakta mig inte, radera mitt nummer, inte intresserad, inte rad, nej tack, fel nummer, "
        "makulera, upphor, upphora, avslutat, avslutad, ar dod, sagt upp, angrar, pengarna tillbaka, "
        "inte bestallt"
    ),
    "fi": "en halua, ala laheta, alkaa lahettako, ei enaa, ei kiitos, en ole kiinnostunut, vaara numero, alkaa enaa, ala enaa, perua, "
    "rahat takaisin, peru tilaus, perun tilauksen",
    "pl": (
        "nie chce, nie wysyłaj, nie wysyłajcie, nie wysylaj, nie wysylajcie, nie pisz, nie dzwon, nie dziekuje, "
        "zły numer, zly numer, usunac, usun moj, zaprzestac, zaprzestanie, wyłacz, wylacz, odpisz mnie, nie wysyłac, nie wysylac"
    ),
    "de": (
        "nein danke, keine sms, keine nachrichten, kein interesse, falsche nummer, horen sie auf, hor auf, "
        "nicht mehr, aus der liste, loschen sie, losche meine"
    ),
    "fr": "ne plus, plus de sms, non merci, supprimez",
    "es": "no gracias, no quiero, no me envie, no me envien, numero equivocado, deja de, dejen de, ya no",
    "lt": "nebenoriu, nesiuskite, ne aciu",
    "ru": "не надо, не хочу, не присылаите",
}
# The same, but only as the whole text. They have other meanings in a sentence: `no more war`.
REFUSALS_ALONE = {
    "en": (
        "no more, not any more, not anymore, dont want, do not want, i want out, withdraw, delete, cease, halt, opt, "
        "block, blocked, deceased, he died, she died, "
        "i m done, im done, i am done, finish, finished, enough, enough already, that s enough, "
        "thats enough, dnd, lawyer, no way, not me, rip, spam, unwanted, stopped, stops, "
        "stopes, stopps, stoped, stob, atop, quitt, cancle, cansel, "
        "pause"
    ),
    "no": (
        "ikke mer, ikkje meir, jeg vil ut, eg vil ut, avslutning, ønsker avslutning, reservasjon, kansel, kansler, "
        "anullering, annulering, støpp, stopø, stoap, pause, ta pause, ferdig, jeg er ferdig, gi dere, angre"
    ),
    "da": "ikke mere, fortryd, pause",
    "sv": "vill inte, radera, ta bort, nog nu, paus, pausa",
    "fi": "poista, loppu, ero, tauko, peru, perun",
    "pl": "usun, koniec, dosyc",
    "de": "loschen, ende, pause",
    "fr": "fin",
    "es": "no mas, no mas por favor, basta ya, para ya, alto, baja, pare, eliminar",
    "ru": "отмена",
    "ar": "قف",
    "sr": "stopa, stopni, prekini, odjava",
    "ro": "opreste, dezabonare",
    "is": "hætta, stoðva, afskra, afskra mig, segja upp",
    "nl": "afmelden, opzeggen, uitschrijven",
    "it": "annulla, annullare, cancella, cancellare, fermare, ferma, disiscrivimi, disdetta",
    "pt": "sair",
    "cs": "zrusit, odhlasit",
    "hu": "leiratkozas, leiratkozom",
    "lv": "beigt, partraukt",
    "so": "jooji",
    "fa": "لغو",
    "zh": "停止, 退订",
    "vi": "huy",
    "tl": "itigil, ihinto",
}
ALL_WORDS = {
    "en": "all, everything",
    "no": "alle, alt, samtlige",
    "da": "alle, alt, alting",
    "sv": "alla, allt, allting",
}
# Words that add nothing anywhere: courtesies and times.
POLITE_WORDS = {
    "en": (
        "please, pls, plz, pleas, thanks, thank you, thank u, thankyou, thank, thx, tnx, ty, hi, hello, hey, dear, "
        "sir, madam, sorry, ok, okay, kindly, regards, cheers, yes, yeah, no, now, immediately, today, asap, "
        "already, any more, anymore, more, again, forever, right away, at once, just, re, fwd, fw, "
        "sent from my iphone, sent from my phone, sent from outlook for ios, sent from outlook for android"
    ),
    "no": (
        "vennligst, vær sa snill, vær sa vennlig, vær sa god, ver sa snill, vaer sa snill, vaer saa snill, takk, "
        "tusen, mange, pa forhand, hei, heisann, hallo, god dag, hilsen, mvh, vennlig, oki, ja, jo, nei, na, naa, "
        "straks, med en gang, umiddelbart, i dag, idag, heretter, fra na av, mer, meir, flere, fleire, lenger, "
        "lengre, unnskyld, beklager, snarest, snart, er du snill, sv, vs, sendt fra min iphone, "
        "sendt fra outlook for ios, sendt fra outlook for android"
    ),
    "da": (
        "venligst, vær venlig, vaer venlig, tak, pa forhand, hej, goddag, god dag, venlig, ja, nej, nu, straks, "
        "med det samme, omgaende, i dag, idag, fra nu af, mere, flere, længere, laengere, undskyld, desværre, "
        "sendt fra min telefon"
    ),
    "sv": (
        "vanligen, var god, var snall, snalla, tack, tack pa forhand, hej, halsningar, ja, nej, nu, genast, "
        "omedelbart, omgaende, i dag, idag, mer, mera, fler, flera, langre, ursakta, tyvarr, skickat fran min iphone"
    ),
    "fi": "kiitos, kiitti, heti, nyt, hei, moi, ole hyva, olkaa hyva",
    "se": "giitu",
    "pl": "prosze, dziekuje, dzieki, juz, dzien dobry, pozdrawiam, teraz",
    "de": "bitte, danke, sofort, jetzt, hallo",
    "fr": "svp, merci",
    "es": "por favor, gracias",
    "ru": "пожалуиста, спасибо",
}
# What is to be stopped: the messages, the subscription, the money, the donor. Adds nothing to a stop, but is not a mere
# courtesy.
SUBJECT_WORDS = {
    "en": (
        "it, this, that, these, those, me, mine, my, myself, us, our, sms, smses, text, texts, texting, txt, txts, "
        "message, messages, messaging, msg, msgs, mail, mails, email, emails, subscription, subscriptions, "
        "subscribing, membership, service, services, send, sending, contacting, calling, calls, charging, charges, "
        "billing, payment, payments, donation, donations, donating, gift, gifts, newsletter, newsletters, "
        "notification, notifications, alerts, spam, number, monthly, recurring, consent, list, lists, your"
    ),
    "no": (
        "dette, det, denne, disse, meg, min, mitt, mine, smser, tekst, tekster, melding, meldinga, meldingen, "
        "meldinger, meldingene, meldingar, tekstmelding, tekstmeldinger, mld, beskjed, beskjeder, abonnement, "
        "abonnementet, abonnementer, abonnementene, abonement, abonnere, abo, medlemskap, medlemskapet, tjeneste, "
        "tjenesten, tjenester, sende, sending, sendinger, betaling, betalingen, betalinger, trekk, trekket, trekke, "
        "gave, gaven, gaver, bidrag, bidraget, donasjon, donasjonen, donasjoner, støtte, støtten, avtale, avtalen, "
        "nyhetsbrev, nyhetsbrevet, varsel, varsler, reklame, nummer, nummeret, avtala, avtaler, giveravtale, "
        "giveravtalen, giveravtala, manedlig, manadleg, fast, giver, smsene, smsane, samtykke, samtykket"
    ),
    "da": (
        "dette, det, denne, disse, mig, min, mit, mine, besked, beskeder, beskederne, meddelelse, meddelelser, "
        "abonnement, abonnementet, abonnementer, medlemskab, medlemskabet, tjeneste, tjenesten, sende, betaling, "
        "betalingen, betalinger, gave, gaven, gaver, bidrag, bidraget, donation, donationen, donationer, støtte, "
        "støtten, aftale, aftalen, nyhedsbrev, nyhedsbrevet, nyhedsbreve, nummer, nummeret"
    ),
    "sv": (
        "detta, det, denna, dessa, mig, mej, min, mitt, mina, meddelande, meddelandet, meddelanden, samtycke, "
        "prenumeration, prenumerationen, prenumerationer, medlemskap, medlemskapet, tjanst, tjansten, skicka, sanda, "
        "utskick, betalning, betalningen, betalningar, gava, gavan, gavor, bidrag, bidraget, stod, avtal, avtalet, "
        "nyhetsbrev, nyhetsbrevet, nummer, numret"
    ),
    "fi": "viestit, viestien, viesteja, tilaus, tilauksen, tilaukseni, jasenyys, minut",
    "pl": "mnie, mi, wiadomosci, smsy, smsow, subskrypcje, subskrypcji, subskrypcja, wysylac, wysylania, darowizny, numer",
    "de": "mich, meine, meinen, nachrichten, vertrag, spende",
}
# Words that connect a sentence: `I would like to stop`.
FILLER_WORDS = {
    "en": (
        "i, im, id, want, wants, wanna, to, would, like, will, you, u, can, could, for, from, with, of, and, need, "
        "wish, the, a, do, be, cant you, can t you, can you not, wont you, won t you, dont you, don t you"
    ),
    "no": (
        "jeg, eg, vil, ville, ønsker, ønske, onsker, gjerne, a, at, du, dere, kan, kunne, for, pa, fra, til, av, "
        "med, og, skal, ma, være, kan dere ikke, kan du ikke, kan de ikke, kan de ikkje, kan du ikkje, "
        "vil dere ikke, vil du ikke, til slutt, til sist"
    ),
    "da": (
        "jeg, vil, ville, ønsker, ønske, gerne, at, du, i, kan, kunne, for, pa, fra, til, af, med, og, skal, ma, være, "
        "kan i ikke"
    ),
    "sv": (
        "jag, vill, ville, onskar, onska, garna, att, du, ni, kan, kunde, for, pa, fran, till, av, med, och, ska, "
        "skall, maste, vara, kan ni inte, kan du inte"
    ),
    "fi": "haluan, haluaisin",
    "pl": "chce, chcialbym, chcialabym, sie, z",
    "de": "ich, mochte, wir",
}
NEGATIONS = {
    "en": (
        "dont, don t, cant, can t, cannot, wont, won t, shouldnt, couldnt, wouldnt, didnt, doesnt, isnt, arent, "
        "aint, mustnt, neednt, havent, hasnt, wasnt, not, never, nor, without, unable, non, nothing, nobody"
    ),
    "no": "ikke, ikkje, aldri, uten, utan, ingen, ingenting",
    "da": "ikke, ej, aldrig, uden, ingen, intet",
    "sv": "inte, icke, ej, aldrig, utan, ingen, inget",
    "fi": "ala, alkaa, en halua, emme halua, ei halua, en aio, ei saa, en voi, en peruuta, en lopeta",
    "se": "ale, allet",
    "pl": "nie, nie chce, nigdy",
    "de": "nicht, nie, niemals",
    "es": "no cancelar, no cancelen, no parar, no detener",
}
# After a stop word they make another verb: stop by, stopp innom, stop forbi.
VISITS = frozenset({"by", "innom", "forbi"})
# Beginnings of stop words that are about messages or a subscription, and about nothing else.
UNMISTAKABLE = (
    *("unsub", "unsus", "optout", "optingout", "avmeld", "avbest", "afmeld", "afbest", "frameld", "utmeld", "udmeld"),
    *("oppsig", "opsig", "uppsag", "avanm", "avreg", "avprenum", "irtisan", "rezygn", "wypis", "abmeld", "kundig"),
)
# Behind a stop word they begin a sentence of the donor: `stop I am poor`.
WRITERS = frozenset({"i", "im", "jeg", "eg", "jag", "vi", "we", "my", "min", "mitt", "har"})
# Words before a stop word with which a donor asks for it, or says that it was sent: `please stop`, `I sent STOP`,
# `why don't you stop`.
ASKING_WORDS = frozenset(
    {
        *("please", "pls", "plz", "kindly", "vennligst", "venligst", "vanligen", "snalla", "snälla", "bitte", "proszę"),
        *("ask", "asked", "asking", "told", "tell", "said", "say", "sent", "texted", "wrote", "typed", "replied"),
        *("ber", "bedt", "bad", "ba", "sagt", "sa", "sagde", "sendt", "sendte", "send", "skrevet", "skrev", "skreiv"),
        *("how", "why", "hvordan", "hvorfor", "korleis", "kvifor", "hur", "varför"),
        *("svart", "svarte", "svaret", "svarede", "skrivit", "skickat", "skickade", "svarat"),
    }
)
# Before a keyword they keep it: `stopp KATT, behold HUND`.
KEEPING_WORDS = frozenset(
    {"keep", "start", "continue", "behold", "beholde", "fortsett", "fortsette", "fortsat", "behåll", "except"}
)
# They refer to anything, so behind a stop word they do not make it a request: `we must stop this bill`.
DEMONSTRATIVES = frozenset(
    {
        *("it", "this", "that", "these", "those", "us", "our", "dette", "det", "denne", "disse"),
        *("detta", "denna", "dessa"),
    }
)
# Twilio's words to return after a stop; they count only as a whole message.
START_WORDS = frozenset({"start", "yes", "unstop"})
