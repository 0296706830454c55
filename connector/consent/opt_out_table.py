"""The words that opt_out_words.py knows, by language: stop words, polite words, words for everything, negations.

Words are written here without case and accents, and so without the ring of å: `na` is nå, `sag upp` is säg upp. What
a donor writes is compared in the same form. A config adds its own words under `consent:` and under a provider.
"""

# Words that mean stop anywhere in a text. English: the list of 47 CFR 64.1200(a)(10) (stop, quit, end, revoke, opt out,
# cancel, unsubscribe) and STOPALL, which Twilio accepts by default and subscribers know. Norway and Denmark require
# STOP and STOPP.
STOP_WORDS = {
    "en": (
        "stop, stopall, stopping, quit, revoke, cancel, cancell, unsubscribe, unsubcribe, unsuscribe, unsub, "
        "opt out, optout, opt me out, opting out, remove me, remove my number, take me off, un subscribe, "
        "unsubsribe, "
        # Typing errors of STOP that are no other word.
        "stpo, sotp, tsop, sttop, stpp, stopo"
    ),
    "no": (
        "stopp, stoppe, stans, stanse, stansa, stogg, stogge, avmeldes, slutte, avslutt, avslutte, avslutta, avmeld, "
        "avmelde, avmelding, meld av, meld meg av, melde av, melde meg av, avbestill, avbestille, avbestilling, "
        "si opp, sier opp, sei opp, oppsigelse, avbryt, avbryte, kanseller, kansellere, annuller, annullere, "
        "fjern meg, slett meg"
    ),
    "da": (
        "stop, stoppe, afmeldes, frameldes, afslut, afslutte, afmeld, afmelde, afmelding, meld af, meld mig af, "
        "frameld, framelde, framelding, meld fra, meld mig fra, opsig, opsige, opsigelse, afbestil, afbestille, "
        "annuller, annullere, fjern mig, slet mig"
    ),
    "sv": (
        "stopp, stoppa, sluta, avsluta, avanmal, avanmala, avanmalan, avregistrera, avbestall, avbestalla, avbryt, "
        "avboka, sag upp, saga upp, sager upp, uppsagning, ta bort mig, avprenumerera, radera mig"
    ),
    "fi": (
        "lopeta, lopetan, lopettaa, lopettakaa, lopetus, peruuta, peruutan, peruuttaa, peruutus, irtisano, "
        "irtisanon, poista minut, poistakaa minut, seis, pysayta, keskeyta"
    ),
    "se": "bissehit, bisset, heaitit, heaittihit, loahpahit",
    "fr": "arret, arreter",
    "es": "parar, cancelar, detener",
    "ru": "стоп",  # also Ukrainian
}
# Words that mean stop alone or at the beginning of a text, but are too common to mean it after other words: `the end`.
WEAK_STOP_WORDS = {"en": "end, remove", "no": "slutt, slett", "da": "slut, slet, stands", "sv": "slut"}
# Texts without a stop word that may ask to stop nevertheless. Such a text is shown to a person if it is short.
REFUSALS = {
    "en": (
        "no more text, no more texts, no more sms, no more message, no more messages, no more charges, "
        "no more payments, do not text, dont text, don t text, do not message, dont message, do not contact, "
        "dont contact, don t contact, do not send, dont send, don t send, do not sms, dont sms, do not call me, "
        "dont call me, do not charge, dont charge, leave me alone, delete me, delete my, erase me, get me off, "
        "forget me, withdraw my, withdraw consent, no longer want, dont want any more, do not want any more, "
        "dont want these, do not want these, dont want your, do not want your"
    ),
    "no": (
        "ikke send, ikkje send, send ikke, send ikkje, ikke flere sms, ikke flere meldinger, ikke flere trekk, "
        "ingen flere sms, ingen flere meldinger, ingen flere trekk, ikkje fleire sms, ikkje fleire meldingar, "
        "ikke mer sms, ikkje meir sms, vil ikke ha, vil ikkje ha, vil ikke motta, vil ikkje motta, vil ikke lenger, "
        "vil ikkje lenger, vil ikke være med, vil ikkje vere med, vil ikke betale, vil ikkje betale, "
        "vil ikke støtte, ønsker ikke, onsker ikke, ønskjer ikkje, la meg være, la meg vere, ikke kontakt, "
        "ikkje kontakt, ikke trekk, ikkje trekk, trekk samtykket, trekker samtykket, trekker tilbake, ta meg bort, "
        "slett nummeret"
    ),
    "da": (
        "vil ikke have, vil ikke modtage, vil ikke længere, vil ikke laengere, lad mig være, lad mig vaere, "
        "ikke flere sms, ikke flere beskeder, ingen flere sms, ingen flere beskeder, hold op, slet mit nummer, "
        "traek mit samtykke, trækker mit samtykke"
    ),
    "sv": (
        "skicka inte, skicka inga, inga fler sms, inga fler meddelanden, vill inte ha, "
        "vill inte fa, vill inte langre, vill inte vara med, "
        "onskar inte, lamna mig i fred, kontakta inte, kontakta mig inte, radera mitt nummer"
    ),
    "fi": "en halua, ala laheta, alkaa lahettako",
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
}
# Words that connect a sentence: `I would like to stop`.
FILLER_WORDS = {
    "en": (
        "i, im, id, want, wants, wanna, to, would, like, will, you, u, can, could, for, from, with, of, and, need, "
        "wish, the, a, do, be, cant you, can t you, can you not, wont you, won t you"
    ),
    "no": (
        "jeg, eg, vil, ville, ønsker, ønske, onsker, gjerne, a, at, du, dere, kan, kunne, for, pa, fra, til, av, "
        "med, og, skal, ma, være, kan dere ikke, kan du ikke, kan de ikke, kan de ikkje, kan du ikkje"
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
}
# After a stop word they make another verb: stop by, stopp innom, stop forbi.
VISITS = frozenset({"by", "innom", "forbi"})
# Twilio's words to return after a stop; they count only as a whole message.
START_WORDS = frozenset({"start", "yes", "unstop"})
