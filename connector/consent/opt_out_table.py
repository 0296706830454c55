"""The words that opt_out_words.py knows, by language: stop words, polite words, words for everything, negations.

Words are written here without case and accents, and so without the ring of å: `na` is nå, `sag upp` is säg upp. What
a donor writes is compared in the same form. A config adds its own words under `consent:` and under a provider.
"""

# Words that mean stop anywhere in a text. English: the list of 47 CFR 64.1200(a)(10) (stop, quit, end, revoke, opt out,
# cancel, unsubscribe) and STOPALL, which Twilio accepts by default and subscribers know. Norway and Denmark require
# STOP and STOPP.
STOP_WORDS = {
    "en": (
        "stop, stopall, stopping, quit, revoke, cancel, cancell, unsubscribe, unsubcribe, unsuscribe, unsub, opt out, optout, "
        "opt me out, opting out, remove me, take me off"
    ),
    "no": (
        "stopp, stoppe, slutte, avslutt, avslutte, avslutta, avmeld, avmelde, avmelding, meld av, meld meg av, melde av, "
        "melde meg av, avbestill, avbestille, avbestilling, si opp, sier opp, sei opp, oppsigelse, avbryt, avbryte, kanseller, "
        "kansellere, annuller, annullere, fjern meg, slett meg"
    ),
    "da": (
        "stop, stoppe, afslut, afslutte, afmeld, afmelde, afmelding, meld af, meld mig af, frameld, framelde, framelding, meld fra, "
        "meld mig fra, opsig, opsige, opsigelse, afbestil, afbestille, annuller, annullere, fjern mig, slet mig"
    ),
    "sv": (
        "stopp, stoppa, sluta, avsluta, avanmal, avanmala, avanmalan, avregistrera, avbestall, avbestalla, avbryt, avboka, sag upp, "
        "saga upp, sager upp, uppsagning, ta bort mig"
    ),
}
# Words that mean stop alone or at the beginning of a text, but are too common to mean it after other words: `the end`.
WEAK_STOP_WORDS = {"en": "end", "no": "slutt", "da": "slut", "sv": "slut"}
ALL_WORDS = {
    "en": "all, everything",
    "no": "alle, alt, samtlige",
    "da": "alle, alt, alting",
    "sv": "alla, allt, allting",
}
# Words that add nothing anywhere: courtesies and times.
POLITE_WORDS = {
    "en": (
        "please, pls, plz, pleas, thanks, thank you, thank u, thankyou, thank, thx, tnx, ty, hi, hello, hey, dear, sir, madam, sorry, "
        "ok, okay, kindly, regards, cheers, yes, yeah, no, now, immediately, today, asap, already, any more, anymore, more, again, "
        "forever, right away, at once, just"
    ),
    "no": (
        "vennligst, vær sa snill, vær sa vennlig, vær sa god, ver sa snill, vaer sa snill, vaer saa snill, takk, tusen, mange, "
        "pa forhand, hei, heisann, hallo, god dag, hilsen, mvh, vennlig, oki, ja, jo, nei, na, naa, straks, med en gang, umiddelbart, "
        "i dag, idag, heretter, fra na av, mer, meir, flere, fleire, lenger, lengre, unnskyld, beklager, snarest, snart"
    ),
    "da": (
        "venligst, vær venlig, vaer venlig, tak, pa forhand, hej, goddag, god dag, venlig, ja, nej, nu, straks, med det samme, "
        "omgaende, i dag, idag, fra nu af, mere, flere, længere, laengere, undskyld, desværre"
    ),
    "sv": (
        "vanligen, var god, var snall, snalla, tack, tack pa forhand, hej, halsningar, ja, nej, nu, genast, omedelbart, omgaende, "
        "i dag, idag, mer, mera, fler, flera, langre, ursakta, tyvarr"
    ),
}
# What is to be stopped: the messages, the subscription, the money, the donor. Adds nothing to a stop, but is not a mere
# courtesy.
SUBJECT_WORDS = {
    "en": (
        "it, this, that, these, those, me, mine, my, myself, us, our, sms, smses, text, texts, texting, txt, txts, message, messages, "
        "messaging, msg, msgs, mail, mails, email, emails, subscription, subscriptions, subscribing, membership, service, services, "
        "send, sending, contacting, calling, calls, charging, charges, billing, payment, payments, donation, donations, donating, "
        "gift, gifts, newsletter, newsletters, notification, notifications, alerts, spam, number"
    ),
    "no": (
        "dette, det, denne, disse, meg, min, mitt, mine, smser, tekst, tekster, melding, meldinga, meldingen, meldinger, "
        "meldingene, meldingar, tekstmelding, tekstmeldinger, mld, beskjed, beskjeder, abonnement, abonnementet, abonnementer, "
        "abonnementene, abonement, abonnere, abo, medlemskap, medlemskapet, tjeneste, tjenesten, tjenester, sende, sending, "
        "sendinger, betaling, betalingen, betalinger, trekk, trekket, trekke, gave, gaven, gaver, bidrag, bidraget, donasjon, "
        "donasjonen, donasjoner, støtte, støtten, avtale, avtalen, nyhetsbrev, nyhetsbrevet, varsel, varsler, reklame, nummer, "
        "nummeret"
    ),
    "da": (
        "dette, det, denne, disse, mig, min, mit, mine, besked, beskeder, beskederne, meddelelse, meddelelser, abonnement, "
        "abonnementet, abonnementer, medlemskab, medlemskabet, tjeneste, tjenesten, sende, betaling, "
        "betalingen, betalinger, gave, gaven, gaver, bidrag, bidraget, donation, donationen, donationer, støtte, støtten, aftale, "
        "aftalen, nyhedsbrev, nyhedsbrevet, nyhedsbreve, nummer, nummeret"
    ),
    "sv": (
        "detta, det, denna, dessa, mig, mej, min, mitt, mina, meddelande, meddelandet, meddelanden, prenumeration, prenumerationen, "
        "prenumerationer, medlemskap, medlemskapet, tjanst, tjansten, skicka, sanda, utskick, betalning, betalningen, betalningar, "
        "gava, gavan, gavor, bidrag, bidraget, stod, avtal, avtalet, nyhetsbrev, nyhetsbrevet, nummer, numret"
    ),
}
# Words that connect a sentence: `I would like to stop`.
FILLER_WORDS = {
    "en": (
        "i, im, id, want, wants, wanna, to, would, like, will, you, u, can, could, for, from, with, of, and, "
        "need, wish, the, a, do, be"
    ),
    "no": (
        "jeg, eg, vil, ville, ønsker, ønske, onsker, gjerne, a, at, du, dere, kan, kunne, for, pa, fra, til, av, med, og, skal, ma, "
        "være"
    ),
    "da": "jeg, vil, ville, ønsker, ønske, gerne, at, du, i, kan, kunne, for, pa, fra, til, af, med, og, skal, ma, være",
    "sv": (
        "jag, vill, ville, onskar, onska, garna, att, du, ni, kan, kunde, for, pa, fran, till, av, med, och, ska, skall, maste, vara"
    ),
}
NEGATIONS = {
    "en": (
        "dont, don t, cant, can t, cannot, wont, won t, shouldnt, couldnt, wouldnt, didnt, doesnt, isnt, arent, aint, mustnt, neednt, "
        "havent, hasnt, wasnt, not, never, nor, without, unable, non, nothing, nobody"
    ),
    "no": "ikke, ikkje, aldri, uten, utan, ingen, ingenting",
    "da": "ikke, ej, aldrig, uden, ingen, intet",
    "sv": "inte, icke, ej, aldrig, utan, ingen, inget",
}
# After a stop word they make another verb: stop by, stopp innom, stop forbi.
VISITS = frozenset({"by", "innom", "forbi"})
# Twilio's words to return after a stop; they count only as a whole message.
START_WORDS = frozenset({"start", "yes", "unstop"})
